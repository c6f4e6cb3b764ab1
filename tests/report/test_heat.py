"""The picture of where the age came from."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from kneeage.core.anatomy import Plane
from kneeage.core.result import Result
from kneeage.core.volume import Volume
from kneeage.infer.explain import Explanation
from kneeage.report import sheet
from kneeage.report.figures import preview_png
from kneeage.report.heat import explanation_pictures, explanation_png, most_line, scale_colours, scale_ticks
from kneeage.report.panels import Shown
from kneeage.report.words import LANGUAGES, words
from tests.infer.knees import as_image, block_knee

HEADER = 40


def moving(labels: Volume, strongest: float) -> Explanation:
    """Make a map in which the upper part moves the answer, on the slices of the estimate."""
    moved = np.full(labels.array.shape, np.nan, dtype=np.float32)
    moved[0, :, 48:] = 0.0
    moved[0, :, :40] = strongest
    return Explanation(labels.with_array(moved), labels.with_array(moved), strongest, 3 * strongest)


def drawn(strongest: float) -> np.ndarray:
    """Draw the first slice with such a map."""
    labels = block_knee()
    knee = Shown(as_image(labels), labels, Plane.CORONAL)
    return pixels(explanation_pictures(knee, moving(labels, strongest))[0])


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(png)).convert("RGB")).astype(int)


def warmth(picture: np.ndarray) -> np.ndarray:
    return np.asarray(picture[..., 0] - picture[..., 2])


def test_what_moves_the_answer_is_warm_and_the_rest_stays_grey() -> None:
    warm = warmth(drawn(0.4))
    rows = len(warm)
    assert warm[30 : rows // 4, 80:380].min() > 60
    assert np.abs(warm[-rows // 4 :]).max() <= 1


def test_a_colour_means_the_same_for_every_subject() -> None:
    whole, half, none = (np.median(warmth(drawn(strongest))[30:100, 80:380]) for strongest in (0.4, 0.2, 0.0))
    assert half == pytest.approx(whole / 2, abs=2)
    assert none == 0
    assert (drawn(0.4)[30:100, 80:380] == drawn(0.9)[30:100, 80:380]).all()


def test_typical_effects_are_seen() -> None:
    weak, strong = (np.median(warmth(drawn(strongest))[30:100, 80:380]) for strongest in (0.1, 0.35))
    assert weak > 20
    assert strong > 3 * weak


@pytest.mark.parametrize("strongest", [0.05, 0.3, 1.0])
def test_the_line_runs_around_the_most_however_strong_it_is(strongest: float) -> None:
    def edge_of(picture: np.ndarray) -> np.ndarray:
        return np.asarray((picture[:, 200] == 255).all(axis=1) & (picture[:, 202] == 255).all(axis=1))

    assert edge_of(drawn(strongest)).any()
    assert not edge_of(drawn(0.0)).any()


def test_the_picture_has_the_header_of_the_preview(estimated: Result, shown: Shown) -> None:
    assert estimated.bundle is not None
    real = estimated.model_copy(update={"bundle": estimated.bundle.model_copy(update={"population": "a hospital"})})
    for lang in LANGUAGES:
        found = [
            pixels(explanation_png(one, shown, moving(shown.labels, 0.2), lang))[:HEADER] for one in (estimated, real)
        ]
        wanted = [pixels(preview_png(one, shown, lang))[:HEADER] for one in (estimated, real)]
        assert all((one == other).all() for one, other in zip(found, wanted, strict=True))
        assert (found[0][:, 400:] < 128).any()
        assert not (found[1][:, 400:] < 128).any()


def test_slices_have_their_marks(shown: Shown) -> None:
    still = moving(shown.labels, 0.0)
    wanted = [np.asarray(sheet.marked(panel, np.stack([panel.plain] * 3, axis=-1))) for panel in shown.panels]
    found = [pixels(picture) for picture in explanation_pictures(shown, still)]
    assert all((one == other).all() for one, other in zip(found, wanted, strict=True))
    assert not (found[0] == shown.panels[0].plain[..., None]).all()


def test_the_legend_shows_the_scale_and_how_far_the_answer_moves(
    estimated: Result, shown: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    write = sheet.Sheet.text
    monkeypatch.setattr(
        sheet.Sheet, "text", lambda own, place, text, **how: (written.append(text), write(own, place, text, **how))
    )
    picture = pixels(explanation_png(estimated, shown, moving(shown.labels, 0.11), "en"))
    assert "Covering one place moves the answer by at most 0.11, and its mean age by at most 0.4 years." in written
    assert [text for _, text in scale_ticks(words("en"))] == ["0", "0.1", "0.2", "0.3", "0.4 and more"]
    assert {"0", "0.1", "0.2", "0.3", "0.4 and more"} < set(written)
    assert all((picture[-138:] == colour).all(axis=2).any() for colour in scale_colours())


def test_how_far_the_answer_moves_is_never_told_as_less_than_it_is() -> None:
    labels = block_knee()
    explained = replace(moving(labels, 0.0), most_moved=0.1101, most_years=0.51)
    assert most_line(explained, words("zh")) == "遮盖任一处，结果的变化不超过0.12，其平均年龄的变化不超过0.6岁。"
