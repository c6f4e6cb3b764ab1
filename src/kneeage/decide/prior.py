"""Prior age distributions: a uniform range, or relative frequencies from a CSV file."""

from __future__ import annotations

import csv
import hashlib
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kneeage.core.errors import UsageError
from kneeage.core.manifest import BundleManifest
from kneeage.core.result import PriorReport, PriorRow

FloatArray = NDArray[np.float64]
_UNIFORM = "uniform:"
_COLUMNS = ("age_years", "weight")
_FORMS = "give uniform:LOW-HIGH, such as uniform:8-26, or a CSV file with the columns age_years,weight"


@dataclass(frozen=True)
class Prior:
    """A prior density of age: straight lines between knots, zero outside.

    Args:
        name: As the user wrote it, without folders.
        ages_years: Knots, rising, at least two.
        weights: Relative density at each knot; not negative, not all zero.
    """

    name: str
    ages_years: tuple[float, ...]
    weights: tuple[float, ...]

    @property
    def low_years(self) -> float:
        """Youngest age with any weight."""
        return self._weighty_spans()[0][0]

    @property
    def high_years(self) -> float:
        """Oldest age with any weight."""
        return self._weighty_spans()[-1][1]

    def masses(self, edges_years: Sequence[float] | FloatArray) -> FloatArray:
        """Integrate the density over age bins.

        Args:
            edges_years: Edges of the bins, rising.

        Returns:
            Weight of each bin, not normalised; exact, since the density is linear between knots.
        """
        knots = np.union1d(edges_years, self.ages_years)
        density = np.interp(knots, self.ages_years, self.weights, left=0.0, right=0.0)
        # A jump at either end (a uniform prior) must not be smeared over the neighbouring span.
        inside = (knots[:-1] >= self.ages_years[0]) & (knots[1:] <= self.ages_years[-1])
        spans = np.where(inside, np.diff(knots) * (density[:-1] + density[1:]) / 2, 0.0)
        cumulative = np.concatenate([[0.0], np.cumsum(spans)])
        return np.asarray(np.diff(np.interp(edges_years, knots, cumulative)))

    def _weighty_spans(self) -> list[tuple[float, float]]:
        """List the spans between neighbouring knots that hold any weight."""
        spans = zip(pairwise(self.ages_years), pairwise(self.weights), strict=True)
        return [ages for ages, weights in spans if any(weights)]


@dataclass(frozen=True)
class FittedPrior:
    """A prior on a bundle's age grid.

    Args:
        name: The prior's name.
        edges_years: Edges of the age bins that the prior leaves, its own ends included.
        masses: Probability of each bin, summing to 1.
        first_bin: Which bin of the bundle the first of these is in.
        warnings: What had to be cut off.
        rows: Age and weight of each knot, as given; none for the bundle's own priors.
    """

    name: str
    edges_years: tuple[float, ...]
    masses: tuple[float, ...]
    first_bin: int
    warnings: tuple[str, ...] = ()
    rows: tuple[tuple[float, float], ...] = ()

    def report(self) -> PriorReport:
        """Give what the result keeps, from which the prior can be made again."""
        rows = [PriorRow(age_years=age, weight=weight) for age, weight in self.rows]
        return PriorReport(name=self.name, low_years=self.edges_years[0], high_years=self.edges_years[-1], rows=rows)


def uniform_prior(low_years: float, high_years: float) -> Prior:
    """Make a prior that holds every age of a range equally likely."""
    return Prior(f"uniform:{low_years:g}-{high_years:g}", (low_years, high_years), (1.0, 1.0))


def table_prior(name: str, ages_years: Sequence[float], weights: Sequence[float]) -> Prior:
    """Make a prior of relative frequencies, joined by straight lines, zero outside the first and the last age.

    Args:
        name: How results call it.
        ages_years: Ages, rising.
        weights: How frequent each is.

    Raises:
        UsageError: The values do not make a distribution.
    """
    return _validated(Prior(name, tuple(ages_years), tuple(weights)))


def table_sha256(rows: Iterable[tuple[float, float]]) -> str:
    """Hash a table of ages and weights as a CSV file of it would be written: headings, a line each, no spaces."""
    lines = ["age_years,weight", *(f"{float(age)!r},{float(weight)!r}" for age, weight in rows)]
    return hashlib.sha256(("\n".join(lines) + "\n").encode()).hexdigest()


def parse_prior(text: str) -> Prior:
    """Read a prior as the user gives it.

    Args:
        text: ``uniform:LOW-HIGH`` in years, or the path of a CSV file with the columns ``age_years,weight``: relative
            frequencies, joined by straight lines, zero outside the first and the last age.

    Returns:
        The prior.

    Raises:
        UsageError: The text is neither, or the values do not make a distribution.

    Example:
        >>> parse_prior("uniform:8-26").high_years
        26
    """
    if text.startswith(_UNIFORM):
        return _parse_uniform(text)
    return _read_csv(Path(text))


def fit_prior(prior: Prior, edges_years: Sequence[float]) -> FittedPrior:
    """Put a prior on a bundle's age grid.

    Args:
        prior: The prior.
        edges_years: Edges of the bundle's age bins.

    Returns:
        The prior on the bins it leaves; the part that reaches outside the grid is cut off and said in ``warnings``.

    Raises:
        UsageError: No age has weight both in the prior and on the grid.
    """
    grid_low, grid_high = edges_years[0], edges_years[-1]
    low, high = max(prior.low_years, grid_low), min(prior.high_years, grid_high)
    edges = (low, *(edge for edge in edges_years if low < edge < high), high)
    masses = prior.masses(edges) if low < high else np.zeros(1)
    if not masses.any():
        raise UsageError(
            f"the prior {prior.name!r} covers {prior.low_years:g} to {prior.high_years:g} years, the bundle "
            f"{grid_low:g} to {grid_high:g}: they share no age; give a prior inside the bundle's range"
        )
    first_bin = int(np.searchsorted(edges_years, low, side="right")) - 1
    return FittedPrior(
        prior.name,
        edges,
        tuple(map(float, masses / masses.sum())),
        first_bin,
        _cut_warnings(prior, low, high),
        tuple(zip(prior.ages_years, prior.weights, strict=True)),
    )


def training_prior(manifest: BundleManifest) -> FittedPrior:
    """Give the ages that a bundle was trained on as a prior; uniform where no shares are stored.

    Args:
        manifest: The bundle's manifest.

    Returns:
        The prior on all of the bundle's bins.
    """
    edges = manifest.age_edges_years
    shares = np.asarray(manifest.training_prior or np.diff(edges), dtype=np.float64)
    return FittedPrior("training ages", tuple(edges), tuple(map(float, shares / shares.sum())), 0)


def reference_prior(manifest: BundleManifest) -> FittedPrior:
    """Give the prior that decisions and conformal intervals rest on: uniform over the bundle's ages.

    It is neither the ages that the bundle was trained on nor what a user chooses.

    Args:
        manifest: The bundle's manifest.

    Returns:
        The prior on all of the bundle's bins.
    """
    edges = manifest.age_edges_years
    widths = np.diff(edges)
    return FittedPrior("reference", tuple(edges), tuple(map(float, widths / widths.sum())), 0)


def _cut_warnings(prior: Prior, low: float, high: float) -> tuple[str, ...]:
    """Say what was cut off a prior."""
    if (low, high) == (prior.low_years, prior.high_years):
        return ()
    return (
        f"the prior covers {prior.low_years:g} to {prior.high_years:g} years; the bundle knows only {low:g} to "
        f"{high:g} of these, and ages outside are treated as impossible",
    )


def _parse_uniform(text: str) -> Prior:
    """Read ``uniform:LOW-HIGH``."""
    low, separator, high = text.removeprefix(_UNIFORM).partition("-")
    try:
        ages = (float(low), float(high))
    except ValueError:
        raise UsageError(f"the prior {text!r} is not understood; {_FORMS}") from None
    if not separator or not _rises(ages) or ages[0] < 0:
        raise UsageError(f"the prior {text!r} must have 0 <= LOW < HIGH in years; {_FORMS}")
    return Prior(text, ages, (1.0, 1.0))


def _read_csv(path: Path) -> Prior:
    """Read a prior from a CSV file."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            knots = list(_knots(path.name, csv.reader(stream)))
    except OSError:
        raise UsageError(f"the prior {str(path)!r} is neither a known form nor a readable file; {_FORMS}") from None
    except (UnicodeDecodeError, csv.Error):
        raise UsageError(f"the prior file {path.name!r} needs two columns of numbers, age_years,weight") from None
    return table_prior(path.name, [age for age, _ in knots], [weight for _, weight in knots])


def _knots(name: str, lines: Iterable[list[str]]) -> Iterator[tuple[float, float]]:
    """Give the age and weight of each line below the headings; lines that are empty are passed over."""
    numbered = enumerate(lines, 1)
    _, head = next(numbered, (1, []))
    if not {*_COLUMNS} <= {*head}:
        raise _unlike_a_knot(name, 1, head)
    age_at, weight_at = (head.index(column) for column in _COLUMNS)
    for number, cells in numbered:
        try:
            if cells:
                yield float(cells[age_at]), float(cells[weight_at])
        except (IndexError, ValueError):
            raise _unlike_a_knot(name, number, cells) from None


def _unlike_a_knot(name: str, number: int, cells: Sequence[str]) -> UsageError:
    """Say which line of a file cannot be read, and what it lacks."""
    if any(";" in cell for cell in cells):
        return UsageError(
            f"line {number} of the prior file {name!r} has semicolons; commas are needed between the columns, and a "
            "point in a number, such as 14.5,2"
        )
    return UsageError(f"the prior file {name!r} needs two columns of numbers, age_years,weight; line {number} has not")


def _validated(prior: Prior) -> Prior:
    """Refuse values that do not make a distribution."""
    if len(prior.ages_years) < 2 or not _rises(prior.ages_years) or prior.ages_years[0] < 0:
        raise UsageError(f"the prior {prior.name!r} needs at least two ages, from 0 years on, each above the last")
    if not all(math.isfinite(weight) and weight >= 0 for weight in prior.weights) or not any(prior.weights):
        raise UsageError(f"the prior {prior.name!r} needs weights that are not negative, and one above 0")
    return prior


def _rises(ages: Sequence[float]) -> bool:
    """Say whether ages are finite and each is above the last."""
    return all(map(math.isfinite, ages)) and all(low < high for low, high in pairwise(ages))
