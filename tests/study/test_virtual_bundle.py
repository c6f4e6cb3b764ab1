"""The making of a virtual bundle and its measurement, in miniature, on cohorts that nobody paints."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import forensic
from kneeage.core.anatomy import Sex
from kneeage.core.errors import InputRefusedError, OutputError, UsageError
from kneeage.core.manifest import BundleManifest
from kneeage.io.bundle import DATASHEET_FILE, SHIPPED_BUNDLE, load_bundle, write_bundle
from kneeage.io.lock import only_run
from kneeage.learn import virtual_bundle as networks
from kneeage.learn.judge import judge, load_networks
from kneeage.learn.settings import AgeModelSettings, FitSettings, SegmenterSettings
from kneeage.learn.virtual_bundle import (
    GRID_MARGIN,
    Part,
    VirtualBundleSettings,
    proved_seeds,
    split_sha256,
    train_virtual_networks,
)
from kneeage.learn.virtual_regions import make_regions, read_facts
from kneeage.report.reference import packed, unpacked
from kneeage.study import virtual_bundle as making
from kneeage.study.model_card import model_card
from kneeage.study.virtual_bundle import Material, fitted, make_virtual_bundle
from kneeage.study.virtual_rule import tune_virtual_bundle
from tests.learn.pretended import pretend_regions
from tests.report.rich import knees

VOID = {"ghosts_in_air": 0.1, "ripple_rows": 0.1, "ripple_columns": 0.1, "sharpness": 0.5, "void_share": 0.5}
QUICK = FitSettings(batch_size=2, max_steps=2, steps_per_epoch=2, progress_bar=False, precision="32-true")
FACTS = ("height", "weight", "sequence", "plates")
WINDOWS = ((16.0, 18.0), (18.0, 20.0))
TINY = VirtualBundleSettings(
    pool_subjects=2,
    pool_validation_subjects=1,
    training_subjects=4,
    validation_subjects=2,
    calibration_subjects=4,
    tuning_per_group=1,
    counting_per_group=1,
    test_subjects=2,
    segmenter=SegmenterSettings(fit=QUICK, widths=(4, 4, 8, 8, 8, 8), size=128, validation_slices=2),
    age_model=AgeModelSettings(fit=QUICK, width=0.125, slices_per_subject=2, facts=FACTS, head="hidden"),
    ensemble=2,
    workers=1,
)


@pytest.fixture(scope="module", autouse=True)
def _nobody_is_painted() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for module in (networks, forensic):
            patch.setattr(module, "make_regions", pretend_regions)
            patch.setattr(module, "WINDOWS_YEARS", WINDOWS)
        patch.setattr(making, "make_reference_knees", pretend_knees)
        yield


def pretend_knees(folder: Path, **_: object) -> bytes:
    """Stand in for ``make_reference_knees``."""
    assert folder.name == "reference_knees"
    return packed(knees())


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work folder in which the segmenter is there already."""
    folder = tmp_path_factory.mktemp("work")
    shutil.copy(SHIPPED_BUNDLE / "segmenter.onnx", folder / "segmenter.onnx")
    return folder


@pytest.fixture(scope="module")
def made(work: Path) -> BundleManifest:
    """The bundle ``work / "bundle"``."""
    return make_virtual_bundle(work / "bundle", work, TINY)


@pytest.fixture(scope="module")
def tuned(made: BundleManifest, work: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the bundle whose rule was tuned, with nothing of the work folder that its networks come from."""
    assert made.name
    folder = tmp_path_factory.mktemp("tuned")
    shutil.copytree(work / "bundle", folder / "bundle")
    tune_virtual_bundle(folder / "bundle", folder / "rule", TINY)
    return folder / "bundle"


def test_a_bundle_says_all_that_was_fitted(made: BundleManifest, work: Path) -> None:
    bundle = load_bundle(work / "bundle")
    assert bundle.manifest == made
    assert made.is_virtual
    assert made.age.files == ["age_1.onnx", "age_2.onnx"]
    assert made.age.fact_names[:3] == ["sex", "height_cm", "height_known"]
    assert made.held_out["subjects"] == 2
    assert made.held_out["dice_distal_femur_bone"] == 0.9
    assert not made.policy.rules
    assert not made.policy.calibrated
    assert None not in (made.references, made.novelty, made.quality_limits)
    assert made.growth_limits


def test_what_growth_allows_is_taken_from_true_plates(made: BundleManifest, work: Path, tmp_path: Path) -> None:
    shutil.copytree(work, tmp_path / "work")
    facts = read_facts(work / "calibration")[0]["plates"]
    badly = {site: plate | {"found": plate["found"] | {"openness": 0.123}} for site, plate in facts.items()}
    alter(tmp_path / "work" / "calibration", {"plates": badly})
    networks = load_networks(tmp_path / "work", made)
    bare = made.model_copy(update={"quality_limits": None, "novelty": None, "growth_limits": []})
    assert fitted(Material(tmp_path / "work", networks), bare).growth_limits == made.growth_limits


def test_a_rule_is_tuned_with_the_bundle_alone(made: BundleManifest, tuned: Path) -> None:
    found = load_bundle(tuned).manifest
    assert found.model_copy(update={"policy": made.policy, "training": made.training}) == made
    assert {rule.age_years for rule in found.policy.rules} == {12, 14, 16, 18}
    assert all(rule.at_least_probability is None for rule in found.policy.rules)
    (rule,) = (rule for rule in found.policy.rules if rule.age_years == 18 and rule.sex is Sex.MALE)
    assert (rule.subjects_below, rule.subjects_above) == (1, 1)
    assert rule.errors is not None
    assert found.training["tuning_subjects_per_sex_and_window"] == 1


def test_tuning_replaces_the_card_and_keeps_the_networks(made: BundleManifest, work: Path, tuned: Path) -> None:
    kept, first = (load_bundle(folder).files() for folder in (tuned, work / "bundle"))
    assert "- tuning subjects per sex and window: 1\n" in kept.pop(DATASHEET_FILE).decode()
    assert "tuning subjects" not in first.pop(DATASHEET_FILE).decode()
    assert kept == first
    before, after = ((folder / "MODEL_CARD.md").read_text() for folder in (work / "bundle", tuned))
    assert "| none was tuned | any | 0.99000 | 0.01000 |" in before
    assert "| 18 | male | never | never |" in after
    assert "No limit of this bundle was\ntuned" in before
    assert "stays under 1.0% among subjects of each sex up to\n2 years" in after
    assert made.training_split_sha256 in after


def test_the_datasheet_counts_the_subjects_that_there_are(made: BundleManifest, work: Path, tuned: Path) -> None:
    assert made.held_out["subjects"] == 2
    sheets = [load_bundle(folder).files()[DATASHEET_FILE].decode() for folder in (work / "bundle", tuned)]
    counted = [re.search(r"\*\*How many\?\*\*\n(.*?)\n\n", sheet, re.DOTALL) for sheet in sheets]
    before, after = (found[1].splitlines() for found in counted if found is not None)
    assert before[1:] == [
        "- age model subjects: 4",
        "- validation subjects: 2",
        "- calibration subjects: 4",
        "- test subjects: 2",
    ]
    assert {*after} - {*before} == {
        "- tuning subjects per sex and window: 1",
        "- counting subjects per sex and window: 1",
    }
    for words in ("tuning of the threshold rule", "counting of its errors", "cohorts about thresholds"):
        assert words not in sheets[0]
        assert words in sheets[1]


def test_card_and_datasheet_name_what_is_not_from_seeds(made: BundleManifest, work: Path) -> None:
    sheet = load_bundle(work / "bundle").files()[DATASHEET_FILE].decode()
    for text in (sheet, model_card(made)):
        assert "one openly licensed label map of an adult knee (gattia/pymskt, MIT)" in " ".join(text.split())
        assert "without any other data" not in text


def test_a_rule_is_tuned_again_from_what_is_there(tuned: Path, work: Path, tmp_path: Path) -> None:
    shutil.copytree(work / "bundle", tmp_path / "bundle")
    assert tune_virtual_bundle(tmp_path / "bundle", tuned.parent / "rule", TINY) == load_bundle(tuned).manifest


def test_only_a_bundle_of_these_subjects_is_tuned(work: Path, tmp_path: Path) -> None:
    bundle = load_bundle(work / "bundle")
    other = bundle.manifest.model_copy(update={"name": "other"})
    write_bundle(tmp_path / "other", other, bundle.files(), "card")
    before = (tmp_path / "other" / "SHA256SUMS").read_bytes()
    with pytest.raises(InputRefusedError, match=r"other 0\.5\.0 was not made by 'kneeage bundle make'"):
        tune_virtual_bundle(tmp_path / "other", tmp_path / "rule", TINY)
    assert (tmp_path / "other" / "SHA256SUMS").read_bytes() == before
    assert not (tmp_path / "rule").exists()


def test_knees_with_metal_set_no_limit_of_quality(made: BundleManifest, work: Path, tmp_path: Path) -> None:
    shutil.copytree(work, tmp_path / "work")
    alter(tmp_path / "work" / "training", {"findings": ["metal_void"], "quality": VOID})
    networks = load_networks(tmp_path / "work", made)
    bare = made.model_copy(update={"quality_limits": None, "novelty": None, "growth_limits": []})
    limits = fitted(Material(tmp_path / "work", networks), bare).quality_limits
    assert limits is not None
    assert made.quality_limits is not None
    assert limits.highest == made.quality_limits.highest
    assert limits.subjects == made.quality_limits.subjects - 1


def test_whom_serving_abstains_from_counts_as_abstained(made: BundleManifest, work: Path, tmp_path: Path) -> None:
    shutil.copytree(work / "calibration", tmp_path / "cohort")
    networks = load_networks(work, made)
    before = judge(tmp_path / "cohort", networks, made)
    seed = alter(tmp_path / "cohort", {"quality": VOID})
    after = judge(tmp_path / "cohort", networks, made)
    assert before.abstained + 1 == after.abstained
    assert {known["seed"] for known in before.facts} - {known["seed"] for known in after.facts} == {seed}
    unlimited = made.model_copy(update={"quality_limits": None})
    assert judge(tmp_path / "cohort", networks, unlimited).abstained == before.abstained


def alter(cohort: Path, changes: dict[str, object]) -> int:
    """Change the facts of a cohort's first subject; its seed."""
    path = min((cohort / "facts").glob("[!.]*.json"))
    facts = json.loads(path.read_text())
    path.write_text(json.dumps(facts | changes))
    return int(facts["seed"])


def test_a_bundle_says_on_which_grids_it_is_valid(made: BundleManifest) -> None:
    assert made.field_of_view_mm == pytest.approx((160 / GRID_MARGIN, 160 * GRID_MARGIN))
    assert made.pixel_mm == pytest.approx((0.5 / GRID_MARGIN, 0.5 * GRID_MARGIN))
    assert made.slice_spacing_mm == pytest.approx((3.5 / GRID_MARGIN, 3.5 * GRID_MARGIN))


def test_a_bundle_carries_reference_knees(made: BundleManifest, work: Path) -> None:
    assert made.reference_knees == "reference_knees.npz"
    assert "  reference_knees.npz\n" in (work / "bundle" / "SHA256SUMS").read_text()
    carried = unpacked(load_bundle(work / "bundle").model_bytes(made.reference_knees))
    assert [(knee.age_years, knee.sex) for knee in carried] == [(knee.age_years, knee.sex) for knee in knees()]


def test_card_and_datasheet_are_filled_in(made: BundleManifest, work: Path) -> None:
    card = (work / "bundle" / "MODEL_CARD.md").read_text()
    assert "| interval 95 coverage |" in card
    assert "An ensemble of 2 age models" in card
    assert "height (may be missing)" in card
    assert "| distance of slices | 3.0 to 4.1 mm |" in card
    assert made.body_range is not None
    assert (made.body_range.height_cm, made.body_range.weight_kg) == ((150, 150), (50, 50))
    row = "150.0 to 150.0 cm, 50.0 to 50.0 kg, body mass index 22.2 to 22.2 kg/m²; others are warned of, not refused"
    assert f"| height and weight of the training subjects | {row} |" in card
    assert "one for each sex and\ncompleted year" in card
    sheet = load_bundle(work / "bundle").files()[DATASHEET_FILE].decode()
    for text in (card, sheet):
        assert "{" not in text
        assert made.training_split_sha256 in text


def test_training_subjects_are_proved(made: BundleManifest, work: Path) -> None:
    seeds = {
        json.loads(path.read_text())["seed"]
        for cohort in ("training", "validation")
        for path in (work / cohort / "facts").iterdir()
    }
    assert proved_seeds(made) == seeds


def test_it_goes_on_where_it_stopped(made: BundleManifest, work: Path, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in work.rglob("*.onnx")}
    assert make_virtual_bundle(tmp_path / "again", work, TINY) == made
    assert {path: path.stat().st_mtime_ns for path in work.rglob("*.onnx")} == before


def test_it_is_made_part_by_part(work: Path, tmp_path: Path) -> None:
    shutil.copy(work / "segmenter.onnx", tmp_path / "segmenter.onnx")
    assert list(train_virtual_networks(tmp_path, TINY, until=Part.SEGMENTER)) == ["segmenter.onnx"]
    assert not (tmp_path / "training").exists()
    train_virtual_networks(tmp_path, TINY, until=Part.COHORTS)
    assert len(list((tmp_path / "test" / "facts").iterdir())) == TINY.test_subjects
    assert not (tmp_path / "tuning").exists()
    assert not list(tmp_path.glob("age_*"))


def test_larger_cohorts_than_asked_for_are_refused(work: Path, tmp_path: Path) -> None:
    shutil.copy(work / "segmenter.onnx", tmp_path / "segmenter.onnx")
    train_virtual_networks(tmp_path, TINY, until=Part.COHORTS)
    with pytest.raises(UsageError, match="holds 1 subjects that these sizes and seeds do not ask for"):
        train_virtual_networks(tmp_path, replace(TINY, calibration_subjects=3), until=Part.COHORTS)


def test_two_runs_do_not_share_a_work_folder(tmp_path: Path) -> None:
    (tmp_path / "run.lock").touch()
    with only_run(tmp_path / "run.lock"), pytest.raises(OutputError, match="another run is making the parts of a"):
        train_virtual_networks(tmp_path, TINY)


def test_fresh_subjects_are_measured_against_the_best_readers(tuned: Path, tmp_path: Path) -> None:
    bundle, sizes = load_bundle(tuned), forensic.Sizes(seed=3, subjects=6, per_group=1, segmented=2, others=8)
    forensic.make_cohorts(tmp_path, bundle, sizes, workers=1)
    numbers = json.loads(json.dumps(forensic.measure(forensic.Measured(bundle, tmp_path), sizes), allow_nan=False))
    assert numbers["drawing"]["subjects"] == 2
    assert {row["group"] for row in numbers["age"]} >= {"A, all", "B, all", "A, all, whole series"}
    assert len(numbers["thresholds"]) == 4 * (4 + 3 + 3)
    assert {(row["age_years"], row["reader"]) for row in numbers["ratios"]} >= {(18, "bundle"), (18, "c")}
    assert {row["weighting"] for row in numbers["weightings"]["rows"]} == {"T1", "PD", "T2"}
    assert {row["aim"] for row in numbers["verdicts"]} == {1, 2, 3, 4, 5}
    page = forensic.page(numbers)
    assert "| 18 | bundle | both |" in page
    assert "| 18 | b | both |" in page
    assert "T1 alone, as the preset `forensic` is" in page
    assert "--segmented 2 --others 8` makes it again" in page
    assert "| sex, sequence | sex, percentiles of height and weight | A, all |" in page
    assert "| 4 | false adults at 18, upper bound | under 1% |" in page
    with pytest.raises(UsageError, match=r"1 subjects of .* were made without their true labels"):
        forensic.make_cohorts(tmp_path, bundle, replace(sizes, segmented=3), workers=1)


def test_the_split_does_not_depend_on_order() -> None:
    assert split_sha256([3, 1, 2]) == split_sha256([1, 2, 3])
    assert split_sha256([1, 2]) != split_sha256([1, 2, 3])


@pytest.mark.slow
def test_the_segmenter_is_trained_on_painted_pools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An untrained network finds no plate, so the making ends before the age model, with a clear word."""
    monkeypatch.setattr(networks, "WINDOWS_YEARS", WINDOWS[:1])
    monkeypatch.setattr(networks, "make_regions", make_regions)
    nothing = replace(TINY, training_subjects=1, validation_subjects=1, calibration_subjects=1, test_subjects=1)
    with pytest.raises(InputRefusedError, match=r"no \.npz file of regions"):
        make_virtual_bundle(tmp_path / "bundle", tmp_path / "work", nothing)
    assert (tmp_path / "work" / "segmenter.onnx").stat().st_size > 1000
    assert not (tmp_path / "bundle").exists()
