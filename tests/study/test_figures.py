from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from kneeage.study import plots
from kneeage.study.drawing import drawing, ordered_colours, save
from kneeage.study.figures import FigureText, study_figures, write_figures
from kneeage.study.predictions import Group
from kneeage.study.results import TrainingLog
from tests.study import tables
from tests.study.results import of_predictions, small

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ROOT = Path(__file__).resolve().parents[2]
_ELSEWHERE = """
import sys
from pathlib import Path
from kneeage.study import figures, plots
assert "matplotlib" not in sys.modules
from kneeage.study.drawing import drawing, save
from kneeage.study.predictions import Group
from tests.study.results import small
with drawing():
    save(plots.confusion(small(), Group.INTERNAL), Path(sys.argv[1]))
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[FigureText, ...]]:
    """All figures of a study that misses a fold."""
    folder = tmp_path_factory.mktemp("figures")
    return folder, write_figures(folder, small(folds=3))


def _words(made: Figure) -> list[str]:
    """All texts of a figure's panels."""
    return [text.get_text() for axis in made.axes for text in axis.texts] + [
        axis.get_title("left") for axis in made.axes
    ]


def test_every_figure_is_there_twice(written: tuple[Path, tuple[FigureText, ...]]) -> None:
    folder, texts = written
    names = ["roc", "curves", "confusion_internal", "confusion_external", "ages", "exact_year", "calibration"]
    assert [text.name for text in texts] == names
    assert {path.name for path in folder.iterdir()} == {f"{name}{end}" for name in names for end in (".png", ".svg")}


def test_pictures_hold_no_dates_and_no_versions(written: tuple[Path, tuple[FigureText, ...]]) -> None:
    folder, texts = written
    for text in texts:
        with Image.open(folder / f"{text.name}.png") as picture:
            assert set(picture.info) == {"dpi"}
        assert not re.search(r"<dc:date|<dc:creator|Matplotlib v", (folder / f"{text.name}.svg").read_text("utf-8"))


def test_drawings_load_nothing(written: tuple[Path, tuple[FigureText, ...]]) -> None:
    folder, texts = written
    for text in texts:
        links = re.findall(r'(?:href|src)="([^"#]*)', (folder / f"{text.name}.svg").read_text("utf-8"))
        assert all(link == "" or link.startswith("data:") for link in links)


def test_letters_count_the_missing_fold(written: tuple[Path, tuple[FigureText, ...]]) -> None:
    roc = written[1][0]
    assert "A to C: each fold" in roc.caption
    assert "D to F: the same models" in roc.caption


def test_another_process_draws_the_same_and_leaves_nothing(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "matplotlibrc").write_text("font.size: 30\nfigure.facecolor: red\n")
    environment = {name: value for name, value in os.environ.items() if name != "MPLCONFIGDIR"}
    environment |= {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), "XDG_CONFIG_HOME": str(home / "config")}
    environment["PYTHONPATH"] = os.pathsep.join([str(_ROOT), environment.get("PYTHONPATH", "")])
    environment["TMPDIR"] = str(tmp_path)
    command = [sys.executable, "-c", _ELSEWHERE, str(tmp_path / "there")]
    subprocess.run(command, cwd=home, env=environment, check=True, timeout=300, capture_output=True)
    with drawing():
        save(plots.confusion(small(), Group.INTERNAL), tmp_path / "here")
    for ending in (".png", ".svg"):
        here, there = ((tmp_path / name).with_suffix(ending) for name in ("here", "there"))
        assert here.read_bytes() == there.read_bytes()
    assert [path.name for path in home.iterdir()] == ["matplotlibrc"]
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {"home"}


def test_the_user_s_settings_come_back() -> None:
    import matplotlib as mpl

    with mpl.rc_context({"font.size": 30}):
        with drawing():
            assert mpl.rcParams["font.size"] == 8
        assert mpl.rcParams["font.size"] == 30


def test_roc_has_a_panel_for_every_fold_and_group() -> None:
    with drawing():
        words = _words(plots.roc(small(folds=3)))
    titles = [word for word in words if "model of fold" in word]
    assert len(titles) == 6
    assert titles[3] == r"$\bf{D}$   external, model of fold 0"
    assert words.count("not done yet") == 2


def test_a_panel_says_the_macro_area() -> None:
    results = small()
    with drawing():
        words = _words(plots.roc(results))
    areas = [panel.macro.area for panel in plots.lettered_panels(results) if panel.macro is not None]
    assert [word for word in words if word.startswith("macro")] == [f"macro AUC {area:.3f}" for area in areas]


def test_a_matrix_shows_every_count() -> None:
    results = small()
    with drawing():
        words = _words(plots.confusion(results, Group.EXTERNAL))
    counts = sum(int(word.strip("()")) for word in words if word.startswith("("))
    assert counts == results.assessment.external.subjects


def test_every_subject_is_a_point() -> None:
    with drawing():
        made = plots.ages(small())
    scattered = [len(each.get_offsets()) for axis in made.axes for each in axis.collections if each.get_rasterized()]
    assert scattered == [54, 27]


def test_the_best_reader_is_named() -> None:
    with drawing():
        (legend,) = plots.exact_year(small()).legends
    assert "best reader (c) thickness and openness as measured, sex, height and weight" in [
        text.get_text() for text in legend.get_texts()
    ]


def test_without_a_ceiling_there_is_no_reader() -> None:
    with drawing():
        (legend,) = plots.exact_year(small(ceilings=())).legends
    assert len(legend.get_texts()) == 2


def test_without_logs_there_are_no_curves() -> None:
    assert "curves" not in {text.name for text in study_figures(small(logs=()))}


def test_a_long_curve_is_thinned() -> None:
    rows = [{"step": str(step), "train_loss": "1", "learning_rate": "0.1"} for step in range(5000)]
    with drawing():
        made = plots.curves(small(logs=(TrainingLog(0, "segmenter", rows),)))
    lines = [line for axis in made.axes for line in axis.lines]
    assert len(lines) == 2
    assert all(len(np.asarray(line.get_xdata())) <= 120 for line in lines)


def test_a_log_may_be_empty() -> None:
    with drawing():
        made = plots.curves(small(logs=(TrainingLog(0, "segmenter", []),)))
    assert len(made.axes) == 2


def test_a_class_without_subjects_is_left_out() -> None:
    predictions = tables.study(54, 27, folds=2)
    results = of_predictions(predictions.take(predictions.true_class != 3))
    with drawing():
        for draw in study_figures(results).values():
            draw(results)


def test_two_classes_are_enough() -> None:
    with drawing():
        assert len(ordered_colours(2)) == 2
