"""A whole study in miniature: checks, folds, resumption, documents."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import pytest

from kneeage.core.errors import InputRefusedError, OutputError, UsageError
from kneeage.core.workers import in_turn, on_cluster
from kneeage.io.bundle import SHIPPED_BUNDLE, load_bundle
from kneeage.study import fold as fold_module
from kneeage.study.collect import study_results, write_documents
from kneeage.study.keep import keep_study
from kneeage.study.prediction_file import read_predictions
from kneeage.study.predictions import Group
from kneeage.study.results import AuditOutcome, StudyResults
from kneeage.study.run import StudyRequest, begin_study, run_study
from kneeage.study.run_folder import LEAKY_WORDS, read_csv
from kneeage.study.settings import study_settings
from tests.study.miniature import TINY, make_small_cohort, no_counting, preset

SMALL_FILES = ("plan.json", "subjects.csv", "excluded.csv", "audit.json", "best_readers.csv")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two internal subjects and one external of 12 and of 13 years, in one folder."""
    return make_small_cohort(tmp_path_factory.mktemp("cohorts") / "miniature", preset(2, 1))


@pytest.fixture
def own(cohort: Path, tmp_path: Path) -> Path:
    """A copy of the cohort to spoil."""
    return Path(shutil.copytree(cohort, tmp_path / "own"))


def request(
    cohort: Path, output: Path, preset_name: str = "default", changes: Sequence[str] = (), **more: object
) -> StudyRequest:
    """Ask for a tiny study."""
    settings = study_settings(preset_name, [*TINY, *changes])
    segmenter = SHIPPED_BUNDLE if preset_name == "default" else None
    options = {"segmenter": segmenter, **more}
    return StudyRequest(cohort, cohort, output, settings, **options)  # type: ignore[arg-type]


def do(wanted: StudyRequest, said: list[str] | None = None) -> Path:
    """Do it in this process."""
    return run_study(wanted, in_turn, say=(said if said is not None else []).append, counting=no_counting)


def begin(wanted: StudyRequest, said: list[str] | None = None) -> fold_module.FoldJob:
    """Do all that comes before the first training."""
    return begin_study(wanted, in_turn, say=(said if said is not None else []).append, counting=no_counting)


def lend_regions(study: Path, run: Path) -> None:
    """Spare a run the cutting of regions, which another one of the same cohort and bundle did."""
    shutil.copytree(study / "prepared" / "regions", run / "prepared" / "regions")


def forbidden(*_: object, **__: object) -> None:
    """Stands where nothing may be done again."""
    raise AssertionError("this was done before")


@pytest.fixture(scope="module")
def study(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study of the default preset: first one fold, then all."""
    run = tmp_path_factory.mktemp("runs") / "study"
    do(request(cohort, run, folds=(0,)))
    assert json.loads((run / "study.json").read_text())["folds_missing"] == [1]
    first = {path: path.stat().st_mtime_ns for path in (run / "fold_0").rglob("*")}
    said: list[str] = []
    assert do(request(cohort, run), said) == run / "report.html"
    assert "fold 0: finished before" in said
    assert {path: path.stat().st_mtime_ns for path in (run / "fold_0").rglob("*")} == first
    return run


@pytest.fixture(scope="module")
def results(study: Path) -> StudyResults:
    """What it came to."""
    return study_results(study)


def test_the_study_has_its_documents_and_its_small_files(study: Path) -> None:
    names = {path.name for path in study.iterdir()}
    assert {"report.html", "tables", "figures", "study.json", "config.yaml", "split.csv", *SMALL_FILES} <= names
    assert json.loads((study / "study.json").read_text())["folds_missing"] == []
    small = sum(path.stat().st_size for path in study.glob("fold_*/*") if path.is_file())
    assert small < 100_000


def test_every_internal_subject_is_told_once_and_every_external_one_by_each_model(
    study: Path, results: StudyResults
) -> None:
    assert {group: len(own) for group, own in results.slice_confusions.items()} == dict.fromkeys(Group, 2)
    assert results.predictions.classes == (12, 13)
    table = [read_predictions(study / f"fold_{fold}" / "predictions.csv") for fold in (0, 1)]
    internal = [str(name) for part in table for name in part.of_group(Group.INTERNAL).subject_id]
    assert sorted(internal) == sorted(row["subject_id"] for row in read_csv(study / "subjects.csv") if row["fold"])
    assert [part.of_group(Group.EXTERNAL).subjects for part in table] == [2, 2]
    assert {each.outcome for each in results.audit} <= {AuditOutcome.CLEAN, AuditOutcome.UNKNOWN}
    assert {(log.fold, log.stage) for log in results.logs} == {(0, "age model"), (1, "age model")}
    assert [group.subjects for group in results.groups] == [2, 2, 2]


def test_a_finished_study_is_not_trained_again(
    study: Path, cohort: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    done = Path(shutil.copytree(study, tmp_path / "study"))
    for name in ("train_age_model", "train_segmenter", "age_model_answers"):
        monkeypatch.setattr(fold_module, name, forbidden)
    monkeypatch.setattr("kneeage.study.run.write_documents", lambda run: run / "report.html")
    do(request(cohort, done))


def test_what_is_kept_gives_the_very_same_documents(study: Path, tmp_path: Path) -> None:
    size = keep_study(study, tmp_path / "kept")
    kept = [path.relative_to(tmp_path / "kept") for path in (tmp_path / "kept").rglob("*") if path.is_file()]
    assert size == sum((tmp_path / "kept" / name).stat().st_size for name in kept) < 100_000
    assert not [name for name in kept if name.name == "slices.csv" or name.suffix in {".html", ".png", ".ckpt"}]
    page = write_documents(tmp_path / "kept", tmp_path / "documents")
    assert page == tmp_path / "documents" / "report.html"
    assert page.read_bytes() == (study / "report.html").read_bytes()
    names = [path.name for path in (study / "tables").iterdir()]
    assert "table2_slices.csv" in names
    for name in names:
        assert (tmp_path / "documents" / "tables" / name).read_bytes() == (study / "tables" / name).read_bytes()


def test_what_is_no_study_is_not_kept(cohort: Path, study: Path, tmp_path: Path) -> None:
    with pytest.raises(InputRefusedError, match=r"holds no study: it has no plan.json"):
        keep_study(cohort, tmp_path / "kept")
    copy = Path(shutil.copytree(study, tmp_path / "copy", ignore=shutil.ignore_patterns("prepared", "*.ckpt")))
    (copy / "fold_1" / "curves.csv").unlink()
    with pytest.raises(InputRefusedError, match=r"has no fold_1/curves.csv; run the study again"):
        keep_study(copy, tmp_path / "kept")
    (copy / "fold_0" / "done.json").unlink()
    (copy / "fold_1" / "done.json").unlink()
    with pytest.raises(InputRefusedError, match=r"no fold of 'copy' is finished"):
        keep_study(copy, tmp_path / "kept")
    assert not (tmp_path / "kept").exists()


def test_ceilings_of_fewer_subjects_are_not_shown(study: Path, tmp_path: Path) -> None:
    keep_study(study, tmp_path / "kept")
    readers = tmp_path / "kept" / "best_readers.csv"
    readers.write_text("\n".join(readers.read_text().splitlines()[:-1]) + "\n")
    assert {each.group for each in study_results(tmp_path / "kept").ceilings} == {Group.INTERNAL}


def test_three_best_readers_read_the_subjects_that_have_predictions(study: Path, results: StudyResults) -> None:
    assert [each.ceiling.reader.value for each in results.ceilings] == ["latents", "plates", "measured"] * 2
    for each in results.ceilings:
        own = results.predictions.of_group(each.group)
        assert set(each.told) == set(own.subject_id.tolist())
        counts = {age: sum(own.true_class == age - 12) for age in (12, 13)}
        hits = sum(counts[age] * share for age, share in each.exact_year_by_class.items())
        votes = sum(counts.values())
        assert hits / votes == pytest.approx(each.ceiling.exact_year.value)
    assert "best reader (c) tells of the same subjects" in (study / "report.html").read_text("utf-8")


def test_what_was_done_in_small_is_said(study: Path, results: StudyResults) -> None:
    words = " ".join(results.reductions)
    assert "The study has 2 folds; the preset has 5." in words
    assert "Training of the age model: 2 steps; the preset has" in words
    assert "age_model.width 0.125 (" in words
    assert "segmenter" not in words
    assert "segmenter" not in results.settings
    assert "age_model.width 0.125 (" in (study / "report.html").read_text("utf-8")


def test_a_segmenter_of_the_fold_s_own_cuts_the_regions(
    cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network of two steps finds no site, so that the one that is trained lends its place to one that does."""
    shipped = load_bundle(SHIPPED_BUNDLE)
    monkeypatch.setattr(
        fold_module, "export_segmenter", lambda _: (shipped.folder / shipped.manifest.segment.file).read_bytes()
    )
    run, said = tmp_path / "run", list[str]()
    changes = ["segmenter.widths=[4,4,4,4,4,8]", "segmenter.size=64"]
    fold_module.run_fold(begin(request(cohort, run, changes=changes, segmenter=None)), 0, say=said.append)
    assert "fold 0: training the segmenter on 2 labelled subjects" in said
    assert "fold 0: cutting regions" in said
    assert not (run / "fold_0" / "regions").exists()
    assert {row["stage"] for row in read_csv(run / "fold_0" / "curves.csv")} == {"segmenter", "age_model"}
    metrics = json.loads((run / "fold_0" / "metrics.json").read_text())
    assert {(row["plate"], row["subjects"]) for row in metrics["dice"]} == {("distal femur", 2), ("proximal tibia", 2)}
    assert metrics["learned_from"] == 2


def test_a_segmenter_that_finds_nothing_is_said(cohort: Path, tmp_path: Path) -> None:
    with pytest.raises(InputRefusedError, match=r"fold 0 has no subject left to learn from; left out: .*not"):
        do(request(cohort, tmp_path / "run", segmenter=None, folds=(0,)))


def test_folds_go_to_a_cluster_and_come_back(
    study: Path, cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr("kneeage.study.run.write_documents", lambda run: run / "report.html")
    run, said = tmp_path / "run", list[str]()
    wanted = request(cohort, run)
    begin(wanted)
    lend_regions(study, run)
    options = {"n_workers": 1, "threads_per_worker": 1, "processes": False, "dashboard_address": None}
    with distributed.LocalCluster(**options, host="127.0.0.1", protocol="tcp://") as cluster:
        address = cluster.scheduler_address
        runner = partial(on_cluster, scheduler=address)
        run_study(wanted, runner, scheduler=address, say=said.append, counting=no_counting)
    assert "2 of 2 folds finished on the cluster" in said
    for fold in (0, 1):
        name = f"fold_{fold}/predictions.csv"
        assert (run / name).read_bytes() == (study / name).read_bytes()


def test_other_settings_or_subjects_are_refused_by_name(study: Path, cohort: Path) -> None:
    with pytest.raises(UsageError, match=r"other settings or cohorts \(plan.json differs: '\"max_steps\": 2,' there"):
        begin(request(cohort, study, changes=["age_model.fit.max_steps=3"]))
    begin(request(cohort, study, changes=["age_model.fit.workers=1"]))
    with pytest.raises(UsageError, match="the study has the folds 0 to 1; found 2"):
        begin(request(cohort, study, folds=(2,)))


def test_the_paper_trains_unet_and_classifier_inside_the_fold(cohort: Path, tmp_path: Path) -> None:
    run = tmp_path / "paper"
    job = begin(request(cohort, run, "paper"))
    told: dict[str, list[tuple[int, int]]] = {}
    fold_module.run_fold(
        job, 0, counting=lambda words: nullcontext(lambda *far: told.setdefault(words, []).append(far))
    )
    assert told == {
        words: [(1, 4), (2, 4), (3, 4), (4, 4)] for words in ("Comparing plates, fold 0", "Predicting, fold 0")
    }
    assert (run / "fold_0" / "segmenter" / "last.ckpt").exists()
    metrics = json.loads((run / "fold_0" / "metrics.json").read_text())
    assert metrics["learned_from"] == 2
    assert {(row["group"], row["plate"]) for row in metrics["dice"]} == {
        (group, plate) for group in ("internal", "external") for plate in ("distal femur", "proximal tibia")
    }
    stages = [row["stage"] for row in read_csv(run / "fold_0" / "curves.csv")]
    assert set(stages) == {"segmenter", "end_to_end"}
    with pytest.raises(UsageError, match="begins inside each fold; leave --segmenter out"):
        begin(request(cohort, tmp_path / "no", "paper", segmenter=SHIPPED_BUNDLE))


def test_a_broken_fold_goes_on_from_its_checkpoints(
    study: Path, cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = begin(request(cohort, tmp_path / "run"))
    lend_regions(study, tmp_path / "run")
    with monkeypatch.context() as patch:
        patch.setattr(fold_module, "age_model_answers", forbidden)
        with pytest.raises(AssertionError):
            fold_module.run_fold(job, 0)
    place = tmp_path / "run" / "fold_0"
    assert not (place / "done.json").exists()
    log = (place / "age_model" / "metrics.csv").read_bytes()
    fold_module.run_fold(job, 0)
    assert (place / "done.json").exists()
    assert (place / "age_model" / "metrics.csv").read_bytes() == log


def test_the_counter_example_says_what_it_is_everywhere(study: Path, cohort: Path, tmp_path: Path) -> None:
    run, said = tmp_path / "leaky", list[str]()
    job = begin(request(cohort, run, changes=["split_by=slice"]), said)
    lend_regions(study, run)
    assert said[0].startswith(LEAKY_WORDS)
    fold_module.run_fold(job, 0)
    assert not list((run / "fold_0").glob("[ps]*.csv"))
    told = read_predictions(run / "fold_0" / "LEAKY_COUNTER_EXAMPLE_slices.csv").of_group(Group.INTERNAL)
    assert told.subjects == 4  # every subject lends slices to the fold, and others to its training
    metrics = json.loads((run / "fold_0" / "metrics.json").read_text())
    assert metrics["learned_from"] == 4
    assert metrics["counter_example"]
    results = study_results(run)
    assert results.name.startswith(LEAKY_WORDS)
    assert results.methods[0].startswith(LEAKY_WORDS)
    assert [group.name for group in results.groups] == ["internal", "external"]
    assert {each.outcome for each in results.audit} > {AuditOutcome.FOUND}


def table_of(cohort: Path, change: Callable[[list[list[str]]], None]) -> None:
    """Change the table of a cohort; cells of this one need no quotes."""
    path = cohort / "subjects.csv"
    rows = [line.split(",") for line in path.read_text().splitlines()]
    change(rows)
    path.write_text("\n".join(",".join(row) for row in rows) + "\n")


def test_an_unreadable_image_is_a_listed_exclusion(own: Path, tmp_path: Path) -> None:
    external = [row for row in read_csv(own / "subjects.csv") if row["subset"] == "external"]
    (own / external[0]["image"]).write_bytes(b"no image")
    said: list[str] = []
    job = begin(request(own, tmp_path / "run"), said)
    assert len(job.people.external.entries) == 1
    (row,) = read_csv(tmp_path / "run" / "excluded.csv")
    assert (row["group"], row["subject_id"]) == ("external", external[0]["subject_id"])
    assert any(external[0]["subject_id"] in words and "left out" in words for words in said)


def test_one_image_under_two_names_is_refused_before_anything_is_trained(own: Path, tmp_path: Path) -> None:
    first, *_, last = read_csv(own / "subjects.csv")
    for column in ("image", "labels"):
        shutil.copy(own / first[column], own / last[column])
    with pytest.raises(
        InputRefusedError, match=r"the same pixels under two subject identifiers: 'V.*' \(fold \d\) and"
    ):
        begin(request(own, tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_study_that_was_begun_outlives_a_refusal(own: Path, tmp_path: Path) -> None:
    begin(request(own, tmp_path / "run"))
    first, *_, last = read_csv(own / "subjects.csv")
    for column in ("image", "labels"):
        shutil.copy(own / first[column], own / last[column])
    with pytest.raises(InputRefusedError, match="the same pixels"):
        begin(request(own, tmp_path / "run"))
    assert (tmp_path / "run" / "split.csv").exists()


def test_a_run_of_a_training_is_no_bundle(cohort: Path, tmp_path: Path) -> None:
    (tmp_path / "segmenter").mkdir()
    (tmp_path / "segmenter" / "training.json").touch()
    with pytest.raises(UsageError, match="'segmenter' is the run of a training; a study takes the segmenter of a"):
        begin(request(cohort, tmp_path / "run", segmenter=tmp_path / "segmenter"))


@pytest.mark.parametrize("part", ["segmenter", "age_model"])
def test_what_tensorboard_needs_is_asked_first(
    cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    monkeypatch.setattr("kneeage.learn.records.find_spec", lambda _name: None)
    with pytest.raises(UsageError, match="needs tensorboard"):
        begin(request(cohort, tmp_path / "run", changes=[f"{part}.fit.tensorboard=true"]))
    assert not (tmp_path / "run").exists()


def test_virtual_subjects_are_cleared_of_having_taught_the_segmenter_by_their_seeds_alone(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = read_csv(own / "subjects.csv")
    place = list(rows[0]).index("seed")
    table_of(own, lambda rows: rows[1].__setitem__(place, ""))
    monkeypatch.setattr("kneeage.study.run.proved_seeds", lambda _: frozenset({1}))
    begin(request(own, tmp_path / "unknown"))
    finding = json.loads((tmp_path / "unknown" / "audit.json").read_text())[-1]
    assert (finding["outcome"], finding["detail"]) == (
        AuditOutcome.UNKNOWN.value,
        "no seed is known of 1 of 6 virtual subjects",
    )
    monkeypatch.setattr("kneeage.study.run.proved_seeds", lambda _: frozenset({int(rows[1]["seed"])}))
    with pytest.raises(InputRefusedError, match=f"that the segmenter learned from: {rows[1]['subject_id']!r}"):
        begin(request(own, tmp_path / "found"))


def test_labels_on_another_grid_leave_a_class_too_small(own: Path, tmp_path: Path) -> None:
    first, second, *_ = read_csv(own / "subjects.csv")
    image = own / first["image"]
    shutil.copy(own / second["labels"], own / first["labels"])
    assert image.exists()
    with pytest.raises(InputRefusedError, match="age year 12: 1 male"):
        begin(request(own, tmp_path / "run"))


def test_a_class_with_fewer_subjects_than_folds_is_refused_before_any_image_is_read(
    cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kneeage.cohort.folder.load", forbidden)
    with pytest.raises(InputRefusedError, match=r"3 folds need two completed years .*age year 12: 2 male"):
        begin(request(cohort, tmp_path / "run", changes=["folds=3"]))


def test_labels_are_needed_where_the_segmenter_is_trained_in_the_fold(own: Path, tmp_path: Path) -> None:
    for path in own.glob("subjects/*/labels.nii.gz"):
        path.unlink()
    column = read_csv(own / "subjects.csv")[0]
    place = list(column).index("labels")
    table_of(own, lambda rows: [row.__setitem__(place, "") for row in rows[1:]] and None)
    with pytest.raises(InputRefusedError, match=r"fold 0 has no labelled subject .*give a bundle with --segmenter"):
        begin(request(own, tmp_path / "run", segmenter=None))
    assert not begin(request(own, tmp_path / "other")).labelled


@pytest.mark.parametrize(
    ("column", "text", "words"),
    [
        ("chronological_age_years", "180", r"row 2, column 'chronological_age_years'"),
        ("sex", "1", r"row 2, column 'sex'"),
        ("subject_id", None, "is in row 3 too|is in row 2 too"),
    ],
)
def test_a_fault_of_the_table_is_named_by_its_row(
    own: Path, tmp_path: Path, column: str, text: str | None, words: str
) -> None:
    def spoil(rows: list[list[str]]) -> None:
        place = rows[0].index(column)
        rows[1][place] = rows[2][place] if text is None else text

    table_of(own, spoil)
    with pytest.raises(InputRefusedError, match=words):
        begin(request(own, tmp_path / "run"))


def test_a_missing_column_is_named(own: Path, tmp_path: Path) -> None:
    table_of(own, lambda rows: rows[0].__setitem__(rows[0].index("site"), "place"))
    with pytest.raises(InputRefusedError, match="site"):
        begin(request(own, tmp_path / "run"))


def test_a_folder_of_something_else_stays_as_it_is(cohort: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "letter.txt").write_text("mine")
    with pytest.raises(OutputError, match="a folder that is not empty"):
        begin(request(cohort, tmp_path / "run"))
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["letter.txt"]


@pytest.mark.slow
def test_sixty_virtual_subjects_from_the_command_line(tmp_path: Path) -> None:
    """Everything by the commands a user types: within ten minutes on two cores."""
    cohort, run = tmp_path / "cohort", tmp_path / "run"
    program = str(Path(sys.executable).with_name("kneeage"))
    make = ["phantom", "make", "-o", cohort, "--preset", "table1-tight", "--subjects", 60, "--format", "nifti"]
    settings = [each for each in TINY if "folds" not in each and "max_steps" not in each and "epochs" not in each]
    steps = ["age_model.fit.max_steps=60", "age_model.fit.steps_per_epoch=30", "age_model.fit.epochs=null"]
    study = ["study", "run", cohort, "--external", cohort, "-o", run, "--segmenter", SHIPPED_BUNDLE]
    for words in (make, [*study, *settings, *steps]):
        done = subprocess.run([program, *map(str, words)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    results = study_results(run)
    assert results.missing_folds == ()
    assert results.predictions.of_group(Group.EXTERNAL).folds == (0, 1, 2, 3, 4)
    assert [each.ceiling.reader.value for each in results.ceilings] == ["latents", "plates", "measured"] * 2
    page = (run / "report.html").read_text("utf-8")
    assert "seven times tighter than biology" in page
    assert "60 of the 1,553 subjects of the preset table1-tight" in page
    done = subprocess.run([program, "study", "keep", str(run), str(tmp_path / "kept")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert sum(path.stat().st_size for path in (tmp_path / "kept").rglob("*") if path.is_file()) < 1_000_000
