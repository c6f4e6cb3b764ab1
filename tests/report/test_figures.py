"""The preview is a picture that holds what it should."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from kneeage.core.anatomy import LABEL_COLOURS, Label, Plane
from kneeage.core.errors import UsageError
from kneeage.core.result import Result
from kneeage.core.volume import Volume
from kneeage.report.figures import panel_pictures, preview_png
from kneeage.report.panels import Shown


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(png)).convert("RGB"))


def holds(picture: np.ndarray, label: Label) -> bool:
    return bool((picture == LABEL_COLOURS[label]).all(axis=2).any())


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_preview_shows_open_plates_and_scars(estimated: Result, shown: Shown, lang: str) -> None:
    slices = pixels(preview_png(estimated, shown, lang))[:-300]
    assert holds(slices, Label.DISTAL_FEMUR_PHYSIS)
    assert holds(slices, Label.DISTAL_FEMUR_PHYSEAL_SCAR)
    assert holds(slices, Label.PROXIMAL_TIBIA_PHYSEAL_SCAR)
    assert not holds(slices, Label.PROXIMAL_TIBIA_PHYSIS)


def test_the_preview_of_an_abstention_has_no_plot(estimated: Result, abstained: Result, shown: Shown) -> None:
    with_plot, without = (pixels(preview_png(r, shown, "en"))[-250:, 600:] for r in (estimated, abstained))
    assert (with_plot < 255).any()
    assert (without == 255).all()


def test_without_labels_slices_are_shown_alone(abstained: Result, unlabelled: Shown) -> None:
    assert len(panel_pictures(unlabelled.panels[0])) == 1
    assert (pixels(preview_png(abstained, unlabelled, "en"))[-250:] == 255).all()


def test_a_single_slice_makes_a_preview(estimated: Result, image: Volume, labels: Volume) -> None:
    one = Volume(image.array[..., 5:6], image.affine), Volume(labels.array[..., 5:6], labels.affine)
    assert pixels(preview_png(estimated, Shown(*one, Plane.CORONAL), "en")).shape[1] > 1000


def test_the_preview_of_a_virtual_bundle_says_so(changed: Callable[..., Result], shown: Shown) -> None:
    header_of = {
        population: pixels(preview_png(_trained_on(changed, population), shown, "en"))[:40, 400:]
        for population in ("virtual", "a hospital")
    }
    assert (header_of["virtual"] < 128).any()
    assert not (header_of["a hospital"] < 128).any()


def test_panels_become_two_pictures_of_one_size(shown: Shown) -> None:
    plain, drawn = (pixels(png) for png in panel_pictures(shown.panels[0]))
    assert plain.shape == drawn.shape
    assert (plain != drawn).any()


def test_the_scale_bar_looks_alike_on_dark_and_bright_slices(shown: Shown) -> None:
    panel = shown.panels[0]
    grounds = (replace(panel, plain=np.full_like(panel.plain, grey), drawn=None) for grey in (0, 128, 255))
    length = round(20 / panel.pixel_mm)
    corners = [pixels(panel_pictures(ground)[0])[-36:-4, -length - 12 : -4] for ground in grounds]
    assert (corners[0] == corners[1]).all()
    assert (corners[0] == corners[2]).all()
    assert (corners[0][-6] == 255).sum(axis=0).max() == length


def test_an_unknown_language_is_refused(estimated: Result, shown: Shown) -> None:
    with pytest.raises(UsageError, match="found 'de'"):
        preview_png(estimated, shown, "de")


def _trained_on(changed: Callable[..., Result], population: str) -> Result:
    result = changed()
    assert result.bundle is not None
    return changed(bundle=result.bundle.model_copy(update={"population": population}))
