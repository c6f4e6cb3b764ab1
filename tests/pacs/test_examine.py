"""What the node asks about a study."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from kneeage.core.anatomy import Sex
from kneeage.core.errors import UsageError
from kneeage.decide.question import Question
from kneeage.io.nifti import read_nifti, write_image
from kneeage.io.read import load
from kneeage.io.wanted import T1_KNEE
from kneeage.pacs.examine import StudyExaminer, header_sex
from tests.infer.knees import as_image, block_knee
from tests.pacs.support import make_study


@pytest.mark.parametrize(
    ("stated", "sex"), [("M", Sex.MALE), ("F", Sex.FEMALE), ("f ", Sex.FEMALE), ("O", None), ("", None), (None, None)]
)
def test_the_sex_of_a_header(tmp_path: Path, stated: str | None, sex: Sex | None) -> None:
    make_study(tmp_path, "sex", 12, PatientSex=stated)
    assert header_sex(load(tmp_path)) is sex


def test_a_nifti_image_states_no_sex(tmp_path: Path) -> None:
    write_image(tmp_path / "knee.nii.gz", as_image(block_knee()))
    assert header_sex(read_nifti(tmp_path / "knee.nii.gz")) is None


def test_the_sex_is_given_or_read_not_both() -> None:
    with pytest.raises(UsageError, match="not both"):
        StudyExaminer(question=Question(sex=Sex.MALE), sex_from_header=True)


def test_a_wrong_prior_is_said_before_a_study_comes() -> None:
    with pytest.raises(UsageError, match="prior"):
        StudyExaminer(question=Question(prior="uniform:60-70")).check()


def test_it_goes_to_a_worker() -> None:
    examiner = StudyExaminer(question=Question(sex=Sex.FEMALE))
    assert pickle.loads(pickle.dumps(examiner)) == examiner


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Question, bool]]:
    """What is asked of the bundle, and whether it is to be explained."""
    found: list[tuple[Question, bool]] = []

    class Examiner:
        wanted = T1_KNEE

        def examine(self, _series: object, question: Question, *, explain: bool) -> None:
            found.append((question, explain))

    monkeypatch.setattr(StudyExaminer, "_examiner", Examiner())
    monkeypatch.setattr("kneeage.pacs.examine.write_documents", lambda *_, **_options: None)
    return found


@pytest.mark.parametrize("from_header", [True, False])
def test_the_header_is_read_only_when_it_is_asked_for(
    tmp_path: Path, asked: list[tuple[Question, bool]], from_header: bool
) -> None:
    make_study(tmp_path / "images", "sex", 12, PatientSex="F")
    question = Question(height_cm=170.0)
    StudyExaminer(None, question, from_header)(tmp_path / "images", tmp_path / "documents")
    assert asked == [(replace(question, sex=Sex.FEMALE if from_header else None), True)]


@pytest.mark.parametrize("explain", [True, False])
def test_the_answer_is_explained_where_it_is_asked_for(
    tmp_path: Path, asked: list[tuple[Question, bool]], explain: bool
) -> None:
    make_study(tmp_path / "images", "explained", 12)
    StudyExaminer(explain=explain)(tmp_path / "images", tmp_path / "documents")
    assert asked == [(Question(), explain)]
    assert StudyExaminer(explain=explain).asked()["question"]["explain"] is explain
