"""Draw ``docs/images/exact-year.svg``: exact-year accuracy against the SD of age between subjects."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from kneeage.phantom.cohort.ceiling import (
    PUBLISHED_MAE_YEARS,
    Estimate,
    closed_form_exact_year,
    sd_for_exact_year,
    sd_of_absolute_error,
    simulated_exact_year,
)
from kneeage.phantom.growth.table import TABLE1

PAPER_ACCURACY = 0.857
# Plausible SD of closure between subjects. Source: derived from two approximate figures.
PLAUSIBLE_SD_YEARS = (0.4, 1.3)
_SIMULATED_SD_YEARS = (0.1, 0.2, 0.3, 0.5, 0.74, 1.0, 1.3)
_SIMULATED_SUBJECTS = 20_000
_WIDTH, _HEIGHT, _MARGIN, _LARGEST_SD = 760, 440, 60, 1.4
_BLUE, _RED, _GREEN, _GREY, _PALE = "#0072b2", "#d55e00", "#007a5a", "#333", "#eef3f8"


def picture() -> str:
    """Draw the curve as SVG."""
    box = f'viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" font-size="13"'
    curve = " ".join(_point(sd, closed_form_exact_year(sd)) for sd in np.linspace(0.05, _LARGEST_SD, 55))
    low, high = PLAUSIBLE_SD_YEARS
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {box}>',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
        _band(low, high),
        _words(0.85, 0.955, f"plausible SD between subjects: {low} to {high} y", fill="#555", anchor="middle"),
        *_axes(),
        f'<polyline points="{curve}" fill="none" stroke="{_BLUE}" stroke-width="2.5"/>',
        *(_dot(sd, simulated_exact_year(sd, _SIMULATED_SUBJECTS)) for sd in _SIMULATED_SD_YEARS),
        *_marks(),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def prior_sd_years() -> float:
    """Give the SD between subjects in ``table1``, weight included."""
    parts = (TABLE1.tempo_sd_years, TABLE1.own_sd_years, TABLE1.weight_advance_years)
    return math.hypot(*(part.value for part in parts))


def _marks() -> Iterator[str]:
    """Mark the paper, our prior and published readers on the curve."""
    needed, prior = sd_for_exact_year(PAPER_ACCURACY), prior_sd_years()
    allowed = closed_form_exact_year(prior)
    yield from _mark(needed, f"paper: {100 * PAPER_ACCURACY:.1f} % needs {needed:.2f} y", _RED)
    yield from _mark(prior, f"our prior: {prior:.2f} y allows {100 * allowed:.0f} %", _GREY)
    for mae in PUBLISHED_MAE_YEARS:
        yield from _mark(sd_of_absolute_error(mae), f"published MAE {mae:.2f} y", _GREEN)


def _x(sd: float) -> float:
    """Place an SD on the picture."""
    return _MARGIN + sd / _LARGEST_SD * (_WIDTH - 2 * _MARGIN)


def _y(accuracy: float) -> float:
    """Place an accuracy on the picture."""
    return _HEIGHT - _MARGIN - accuracy * (_HEIGHT - 1.6 * _MARGIN)


def _point(sd: float, accuracy: float) -> str:
    """Write a point of the picture."""
    return f"{_x(sd):.1f},{_y(accuracy):.1f}"


def _dot(sd: float, estimate: Estimate) -> str:
    """Draw a simulated value."""
    place = f'cx="{_x(sd):.1f}" cy="{_y(estimate.value):.1f}"'
    return f'<circle {place} r="4" fill="#fff" stroke="{_BLUE}" stroke-width="2"/>'


def _band(low: float, high: float) -> str:
    """Draw a range of SDs."""
    place = f'x="{_x(low):.1f}" y="{_y(1):.1f}"'
    return f'<rect {place} width="{_x(high) - _x(low):.1f}" height="{_y(0) - _y(1):.1f}" fill="{_PALE}"/>'


def _words(sd: float, accuracy: float, text: str, *, fill: str, anchor: str) -> str:
    """Write into the picture."""
    return f'<text x="{_x(sd):.1f}" y="{_y(accuracy):.1f}" fill="{fill}" text-anchor="{anchor}">{text}</text>'


def _axes() -> Iterator[str]:
    """Draw the axes with their numbers."""
    yield f'<path d="M{_x(0):.1f} {_y(1):.1f} V{_y(0):.1f} H{_x(_LARGEST_SD):.1f}" fill="none" stroke="{_GREY}"/>'
    for tenth in range(0, 15, 2):
        yield f'<text x="{_x(tenth / 10):.1f}" y="{_y(0) + 20:.1f}" text-anchor="middle">{tenth / 10:.1f}</text>'
    for percent in range(0, 101, 20):
        yield f'<text x="{_x(0) - 8:.1f}" y="{_y(percent / 100) + 4:.1f}" text-anchor="end">{percent} %</text>'
    label = "SD of age between subjects of equal years left (years)"
    yield f'<text x="{_x(_LARGEST_SD / 2):.1f}" y="{_HEIGHT - 16}" text-anchor="middle">{label}</text>'
    yield f'<text x="{_MARGIN}" y="22" text-anchor="middle">exact year</text>'


def _mark(sd: float, text: str, colour: str) -> Iterator[str]:
    """Mark a point of the curve."""
    accuracy = closed_form_exact_year(sd)
    yield f'<circle cx="{_x(sd):.1f}" cy="{_y(accuracy):.1f}" r="5" fill="{colour}"/>'
    shift, anchor = (0.03, "start") if sd < 1 else (-0.03, "end")
    yield _words(sd + shift, accuracy + shift, text, fill=colour, anchor=anchor)
