from __future__ import annotations

from pathlib import Path

import pytest

from kneeage.core.errors import OutputError
from kneeage.study import documents
from kneeage.study.documents import write_study_documents
from kneeage.study.figures import FigureText
from kneeage.study.results import StudyResults
from tests.study import tables
from tests.study.results import of_predictions, small


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """One figure without a drawing."""

    def write(folder: Path, _: StudyResults) -> tuple[FigureText, ...]:
        (folder / "roc.png").write_bytes(b"picture")
        return (FigureText("roc", "ROC."),)

    monkeypatch.setattr(documents, "write_figures", write)


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.usefixtures("quick")
def test_documents_are_written(tmp_path: Path) -> None:
    write_study_documents(tmp_path / "run", small())
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"tables", "figures", "report.html"}
    assert {"table1.csv", "assessment.json"} < {path.name for path in (tmp_path / "run" / "tables").iterdir()}


@pytest.mark.usefixtures("quick")
def test_the_same_study_gives_the_same_files(tmp_path: Path) -> None:
    write_study_documents(tmp_path / "a", small())
    write_study_documents(tmp_path / "b", small())
    assert _files(tmp_path / "a") == _files(tmp_path / "b")


@pytest.mark.usefixtures("quick")
def test_earlier_documents_are_replaced_and_the_rest_stays(tmp_path: Path) -> None:
    (tmp_path / "fold_0").mkdir()
    (tmp_path / "fold_0" / "done.json").write_text("{}")
    write_study_documents(tmp_path, small(folds=3))
    assert (tmp_path / "tables" / "dice.csv").exists()
    write_study_documents(tmp_path, small(dice=()))
    assert not (tmp_path / "tables" / "dice.csv").exists()
    assert "not done yet" not in (tmp_path / "report.html").read_text("utf-8")
    assert {path.name for path in tmp_path.iterdir()} == {"fold_0", "tables", "figures", "report.html"}


@pytest.mark.usefixtures("quick")
def test_what_fails_leaves_the_earlier_documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_study_documents(tmp_path, small())
    before = _files(tmp_path)

    def fail(*_: object) -> str:
        raise ValueError("no page")

    monkeypatch.setattr(documents, "render_page", fail)
    with pytest.raises(ValueError, match="no page"):
        write_study_documents(tmp_path, small(dice=()))
    assert _files(tmp_path) == before


@pytest.mark.usefixtures("quick")
def test_what_cannot_be_put_in_place_is_put_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_study_documents(tmp_path, small())
    before = _files(tmp_path)
    rename = Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if self.name == "report.html" and Path(target) == tmp_path / "report.html" and self.parent.name != "old":
            raise PermissionError(13, "Permission denied")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(OutputError, match="Permission denied"):
        write_study_documents(tmp_path, small(dice=()))
    assert _files(tmp_path) == before


@pytest.mark.usefixtures("quick")
def test_a_full_disk_is_said(small_disk: Path) -> None:
    with pytest.raises(OutputError, match="disk is full"):
        write_study_documents(small_disk / "run", small())
    assert list(small_disk.iterdir()) == []


def test_a_study_of_next_to_nobody_has_its_documents(tmp_path: Path) -> None:
    results = of_predictions(tables.study(1, 1, folds=1), logs=(), dice=())
    write_study_documents(tmp_path, results)
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "1.00000 ± not defined (n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}1)" in page
    assert {path.name for path in (tmp_path / "tables").iterdir()} > {"table2_subjects.csv", "roc_areas.csv"}


@pytest.mark.slow
def test_a_whole_study_is_drawn_the_same_twice(tmp_path: Path) -> None:
    write_study_documents(tmp_path / "a", small())
    write_study_documents(tmp_path / "b", small())
    assert _files(tmp_path / "a") == _files(tmp_path / "b")
