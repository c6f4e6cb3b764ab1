"""What is fitted after training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kneeage.learn.calibrate import fit_temperature, fit_thickness, true_places


def fact(found_mm: float | None, true_mm: float | None) -> dict[str, Any]:
    plate = {"found": {"thickness_mm": found_mm}, "true": {"thickness_mm": true_mm}}
    return {"plates": {"distal_femur": plate, "proximal_tibia": plate}}


def drawn_from(logits: np.ndarray[Any, Any], rng: np.random.Generator) -> np.ndarray[Any, Any]:
    shares = np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))
    return np.array([rng.choice(logits.shape[1], p=row) for row in shares])


@pytest.mark.parametrize("temperature", [0.6, 1.0, 1.8])
def test_the_temperature_that_blurred_the_truth_is_found(temperature: float) -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (4000, 8))
    assert fit_temperature(logits * temperature, drawn_from(logits, rng)) == pytest.approx(temperature, rel=0.1)


def test_the_line_from_drawn_to_true_thickness_is_found() -> None:
    drawn = np.linspace(1.5, 4.0, 12)
    scales = fit_thickness([fact(d, 0.9 * d - 0.7) for d in drawn] + [fact(None, None), fact(2.0, None)])
    for name in ("distal_femur", "proximal_tibia"):
        assert scales[name].slope == pytest.approx(0.9)
        assert scales[name].offset_mm == pytest.approx(-0.7)


def test_few_open_plates_fix_no_line() -> None:
    assert fit_thickness([fact(2.0, 1.5)] * 9) == {}


def test_a_falling_line_is_no_scale() -> None:
    assert fit_thickness([fact(d, 4 - d) for d in np.linspace(1, 3, 12)]) == {}


def test_ages_outside_count_to_the_outer_bins() -> None:
    assert true_places([7.0, 8.0, 9.5, 30.0], [8.0, 9.0, 10.0, 11.0]).tolist() == [0, 0, 1, 2]
