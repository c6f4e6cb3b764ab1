"""Recalibrating a bundle on a local sample."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from kneeage.cohort.table import SubjectEntry
from kneeage.core.anatomy import Sex
from kneeage.core.errors import InputRefusedError, OutputError, UsageError
from kneeage.core.manifest import BUNDLE_SCHEMA_VERSION
from kneeage.core.result import Outcome, Result
from kneeage.decide.prior import reference_prior
from kneeage.decide.statement import Asked, state_age
from kneeage.io.bundle import Bundle, load_bundle, write_bundle
from kneeage.study import recalibrate as module
from kneeage.study.local_fit import LocalSubject
from kneeage.study.recalibrate import answers, likelihood_of, recalibrate
from tests.study.readers import BUNDLE, drawn_sexes, log_likelihoods

FILES = {"segment.onnx": b"segments", "age.onnx": b"ages", "knees.png": b"pictures"}
SUBJECTS, LATER_YEARS = 160, 1.5


def local_subjects(subjects: int = SUBJECTS) -> list[LocalSubject]:
    rng = np.random.default_rng(41)
    ages, sexes = rng.uniform(8, 26, subjects), drawn_sexes(subjects)
    read = log_likelihoods(ages, sexes, rng, later_years=LATER_YEARS)
    return [
        LocalSubject(f"person-{place}", sex, float(age), likelihood)
        for place, (sex, age, likelihood) in enumerate(zip(sexes, ages, read, strict=True))
    ]


@pytest.fixture
def parent(tmp_path: Path) -> Bundle:
    manifest = BUNDLE.model_copy(update={"reference_knees": "knees.png", "schema_version": "1.0"})
    write_bundle(tmp_path / "parent", manifest, FILES, "# The parent's card\n")
    return load_bundle(tmp_path / "parent")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[LocalSubject]:
    """Subjects that the networks are not really asked about."""
    subjects = local_subjects()
    cohort = SimpleNamespace(entries=[None] * (len(subjects) + 4))
    monkeypatch.setattr(module, "read_cohort", lambda _folder: cohort)
    monkeypatch.setattr(module, "answers", lambda _examiner, _cohort, _advance: subjects)
    return subjects


@pytest.mark.usefixtures("asked")
def test_a_new_bundle_with_its_lineage(parent: Bundle, tmp_path: Path) -> None:
    done = recalibrate(parent.folder, tmp_path, tmp_path / "new")
    made = load_bundle(tmp_path / "new")
    lineage = made.manifest.lineage
    assert (done.examined, done.left_out) == (SUBJECTS + 4, 4)
    assert lineage is not None
    assert (lineage.parent_name, lineage.parent_sha256, lineage.subjects) == ("blocks", parent.sha256, SUBJECTS)
    assert (made.manifest.name, made.manifest.schema_version) == ("blocks-recalibrated", BUNDLE_SCHEMA_VERSION)
    assert made.manifest.population == "virtual"
    assert made.manifest.calibration.location_years == pytest.approx(LATER_YEARS, abs=0.4)
    assert made.manifest.calibration.conformal is not None
    assert made.files() == FILES
    assert abs(lineage.after["mean_error_years"]) < abs(lineage.before["mean_error_years"])


@pytest.mark.usefixtures("asked")
def test_the_card_says_what_changed_and_keeps_the_parent_s(parent: Bundle, tmp_path: Path) -> None:
    recalibrate(parent.folder, tmp_path, tmp_path / "new")
    card = (tmp_path / "new" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert card.startswith("# blocks-recalibrated: blocks 1, recalibrated on a local sample")
    assert "| mean_error_years |" in card
    assert "person-" not in card
    assert card.endswith("# The parent's card\n")


@pytest.mark.usefixtures("asked")
def test_a_number_that_a_fold_had_nobody_for_is_left_out(
    parent: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = {"interval_95_mean_width_years": 4.5}, {"interval_95_mean_width_years": float("nan")}
    monkeypatch.setattr(module, "before_and_after", lambda *_: numbers)
    lineage = recalibrate(parent.folder, tmp_path, tmp_path / "new").manifest.lineage
    assert lineage is not None
    assert (lineage.before, lineage.after) == (numbers[0], {})
    card = (tmp_path / "new" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "| interval_95_mean_width_years | 4.5 |  |" in card
    assert "nan" not in card.split("---\n")[0]


@pytest.mark.usefixtures("asked")
def test_a_larger_limit_needs_fewer_subjects(parent: Bundle, tmp_path: Path) -> None:
    strict, wide = (recalibrate(parent.folder, tmp_path, tmp_path / str(limit), limit=limit) for limit in (None, 0.5))
    assert (strict.manifest.policy.limit, wide.manifest.policy.limit) == (0.01, 0.5)
    tuned = [
        [rule.at_least_probability for rule in done.manifest.policy.rules if rule.at_least_probability is not None]
        for done in (strict, wide)
    ]
    assert not tuned[0]
    assert tuned[1]
    with pytest.raises(UsageError, match="the limit is 1; it is a share between 0 and 1"):
        recalibrate(parent.folder, tmp_path, tmp_path / "new", limit=1.0)
    assert not (tmp_path / "new").exists()


def test_too_few_subjects_are_refused_and_nothing_is_written(
    parent: Bundle, tmp_path: Path, asked: list[LocalSubject]
) -> None:
    del asked[100:]
    with pytest.raises(InputRefusedError, match="100 of 164 subjects have an answer"):
        recalibrate(parent.folder, tmp_path, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_taken_folder_is_refused_before_any_work(parent: Bundle, tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        recalibrate(parent.folder, tmp_path / "no cohort", parent.folder)


def test_the_subjects_are_named_by_a_hash_of_their_ids_alone() -> None:
    subjects = local_subjects(6)
    digest = module._subjects_sha256(subjects)
    assert digest == module._subjects_sha256(subjects[::-1])
    assert digest != module._subjects_sha256(subjects[1:])


def test_the_likelihood_is_read_back_off_an_answer() -> None:
    likelihood = local_subjects(1)[0].log_likelihood
    asked = Asked(thresholds_years=(18,), sex=Sex.MALE)
    stated = state_age(likelihood, BUNDLE, prior=reference_prior(BUNDLE), asked=asked)
    result = Result(outcome=Outcome.ESTIMATED, age_distribution=stated.age_distribution)
    found = likelihood_of(result, BUNDLE)
    assert found is not None
    assert found - found.max() == pytest.approx(likelihood - likelihood.max(), abs=1e-6)
    assert likelihood_of(Result(outcome=Outcome.ABSTAINED), BUNDLE) is None


class StandInExaminer:
    """Answers by the subject's number: refuses 1, abstains from 2."""

    manifest = BUNDLE

    def __init__(self) -> None:
        self.questions: list[object] = []

    def examine(self, series: int, question: object) -> SimpleNamespace:
        self.questions.append(question)
        if series == 1:
            raise InputRefusedError("unreadable")
        if series == 2:
            return SimpleNamespace(result=Result(outcome=Outcome.ABSTAINED))
        asked = Asked(thresholds_years=(), sex=Sex.MALE)
        flat = state_age(np.zeros(36), BUNDLE, prior=reference_prior(BUNDLE), asked=asked)
        return SimpleNamespace(result=Result(outcome=Outcome.ESTIMATED, age_distribution=flat.age_distribution))


class StandInCohort:
    """Subjects whose series are numbers."""

    def __init__(self, entries: Sequence[SubjectEntry]) -> None:
        self.entries = entries

    def series(self, entry: SubjectEntry) -> int:
        return int(entry.subject_id)


def test_who_has_no_answer_is_left_out_and_nobody_is_read_with_height() -> None:
    entries = [
        SubjectEntry(str(place), Sex.FEMALE, 15.5, "A", None, "image.nii.gz", height_cm=160.0) for place in range(4)
    ]
    examiner, told = StandInExaminer(), []
    found = answers(examiner, StandInCohort(entries), lambda done, total: told.append((done, total)))  # type: ignore[arg-type]
    assert [subject.subject_id for subject in found] == ["0", "3"]
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    question = examiner.questions[0]
    assert (question.sex, question.height_cm, question.prior) == (Sex.FEMALE, None, "uniform:8.0-26.0")  # type: ignore[attr-defined]
    assert np.allclose(found[0].log_likelihood, found[0].log_likelihood[0])
