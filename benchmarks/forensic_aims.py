"""What a bundle has to reach on fresh virtual subjects, set before any seed is drawn, and whether it reached it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.forensic_measures import Numbers
from kneeage.core.anatomy import PLATE_SITES
from kneeage.decide.question import DEFAULT_THRESHOLDS_YEARS
from kneeage.study.tuning import LIMIT

# Which subjects the aims speak of, and which number counts.
COHORTS = (
    "Aims 1 to 3 and 5 are of the main test cohort, aim 4 of the cohorts about the thresholds. Both are T1 alone, as "
    "the preset `forensic` is. The subjects with true labels (`--segmented` of the main cohort, whom aim 5 is of) are "
    "whole series, all others slices about the plates' sites. PD and T2 are measured beside them, and no aim is set.",
    "The point estimate counts, as it is and not as it is rounded; its 95 % interval stands beside it and decides "
    "nothing. In aim 4 the upper bound counts. An aim is reached where every row of it is, and what could not be "
    "measured is not reached.",
)
RATIO_A, RATIO_B = 1.05, 1.15
_KINDS = ("all", "open plate")
COVERED, SIGNIFICANCE = (0.935, 0.965), 0.05
ADULT_YEARS, CALIBRATION = 18.0, 0.02
DICE_PLATES, DICE_BONES, OUTLINE_MM, KAPPA = 0.90, 0.97, 0.3, 0.85


@dataclass(frozen=True)
class Verdict:
    """One row of an aim.

    Args:
        aim: Its number, from 1.
        what: What is measured.
        asked: What it has to be, in words.
        found: What it is; None where it could not be measured.
        interval: Its 95 % interval, or what else stands beside it.
        reached: Whether it is what it has to be.
    """

    aim: int
    what: str
    asked: str
    found: str | None
    interval: str
    reached: bool


@dataclass(frozen=True)
class Aim:
    """One aim.

    Args:
        text: What has to be reached.
        judged: Gives its rows.
    """

    text: str
    judged: Callable[[int, Numbers], list[Verdict]]


def verdicts(numbers: Numbers) -> list[Numbers]:
    """Judge every aim by what was measured."""
    return [vars(verdict) for place, aim in enumerate(AIMS, 1) for verdict in aim.judged(place, numbers)]


def _ratios(aim: int, numbers: Numbers) -> list[Verdict]:
    """Judge the errors of age in each hospital."""
    rows = {row["group"]: row for row in numbers["age"]}
    limits = {f"{hospital}, {kind}": most for hospital, most in (("A", RATIO_A), ("B", RATIO_B)) for kind in _KINDS}
    return [
        _at_most(aim, f"ratio of errors, {name}", most, *_of(rows.get(name), "ratio", "ratio_low", "ratio_high"))
        for name, most in limits.items()
    ]


def _coverage(aim: int, numbers: Numbers) -> list[Verdict]:
    """Judge the intervals, of all and in groups."""
    found = numbers["coverage"]
    least, most = COVERED
    inside = found["all"]["share"]
    judged = [row for row in found["groups"] if row["judged"]]
    lowest = min(judged, key=lambda row: float(row["p_holm"]), default=None)
    return [
        Verdict(
            aim,
            "share of ages inside, all",
            f"{least:.1%} to {most:.1%}",
            f"{inside:.2%}",
            f"{found['all']['low']:.2%} to {found['all']['high']:.2%}",
            least <= inside <= most,
        ),
        Verdict(
            aim,
            f"least p of {len(judged)} groups (Holm)",
            f"at least {SIGNIFICANCE:g}",
            None if lowest is None else f"{lowest['p_holm']:.4f}",
            "" if lowest is None else f"{lowest['name']}: {lowest['share']:.1%} inside",
            lowest is not None and lowest["p_holm"] >= SIGNIFICANCE,
        ),
    ]


def _calibration(aim: int, numbers: Numbers) -> list[Verdict]:
    """Judge the calibration of the probability to be adult."""
    (row,) = (row for row in numbers["calibration"] if row["age_years"] == ADULT_YEARS and row["who"] == "all")
    return [
        Verdict(
            aim,
            "expected calibration error at 18, all",
            f"at most {CALIBRATION:g}, or p at least {SIGNIFICANCE:g}",
            f"{row['error']:.4f}, p = {row['p_value']:.3f}",
            f"95 % of perfect readers: at most {row['perfect_95']:.4f}",
            row["error"] <= CALIBRATION or row["p_value"] >= SIGNIFICANCE,
        )
    ]


def _false_adults(aim: int, numbers: Numbers) -> list[Verdict]:
    """Judge the false adults of each threshold, both sexes together."""
    rows = {
        row["age_years"]: row["false_adult"]
        for row in numbers["thresholds"]
        if row["reader"] == "bundle" and row["sex"] == "both"
    }
    return [_false_adult(aim, age, rows.get(age)) for age in DEFAULT_THRESHOLDS_YEARS]


def _false_adult(aim: int, age_years: float, row: Numbers | None) -> Verdict:
    """Judge the false adults of one threshold."""
    what, asked = f"false adults at {age_years:g}, upper bound", f"under {LIMIT:.0%}"
    if row is None or not row["subjects"]:
        return Verdict(aim, what, asked, None, "", reached=False)
    counted = f"{row['errors']} of {row['subjects']}, {row['low']:.2%} to {row['high']:.2%}"
    return Verdict(aim, what, asked, f"{row['high']:.3%}", counted, row["high"] < LIMIT)


def _drawing(aim: int, numbers: Numbers) -> list[Verdict]:
    """Judge how plates and bones are drawn and staged."""
    return [
        _drawn(aim, numbers["drawing"], "dice_thick_open_plates", DICE_PLATES),
        *(_drawn(aim, numbers["drawing"], f"dice_{site.name}_bone", DICE_BONES) for site in PLATE_SITES),
        _drawn(aim, numbers["drawing"], "surface_distance_open_plates_mm", OUTLINE_MM, _at_most),
        _drawn(aim, numbers["drawing"], "stage_kappa_dedouit", KAPPA),
        _drawn(aim, numbers["drawing"], "stage_kappa_schmeling_kellinghaus", KAPPA),
    ]


def _at_most(aim: int, what: str, most: float, value: float | None, low: float | None, high: float | None) -> Verdict:
    """Judge a number that has to be small."""
    reached = value is not None and value <= most
    return Verdict(aim, what, f"at most {most:g}", number(value, 4), span(low, high, 4), reached)


def _at_least(aim: int, what: str, least: float, value: float | None, low: float | None, high: float | None) -> Verdict:
    """Judge a number that has to be large."""
    reached = value is not None and value >= least
    return Verdict(aim, what, f"at least {least:g}", number(value, 4), span(low, high, 4), reached)


def _drawn(aim: int, drawing: Numbers, name: str, limit: float, judged: Callable[..., Verdict] = _at_least) -> Verdict:
    """Judge one number of what was drawn."""
    low, high = drawing["intervals"].get(name, (None, None))
    return judged(aim, name.replace("_", " "), limit, drawing["numbers"].get(name), low, high)


def _of(row: Numbers | None, *names: str) -> Sequence[float | None]:
    """Give some numbers of a row, None where there is no row."""
    return [None if row is None else row[name] for name in names]


def number(value: float | None, digits: int) -> str | None:
    """Write a number with some digits."""
    return None if value is None else f"{value:.{digits}f}"


def span(low: float | None, high: float | None, digits: int) -> str:
    """Write an interval; nothing where there is none."""
    return "" if low is None or high is None else f"{low:.{digits}f} to {high:.{digits}f}"


# Printed beside what is reached.
AIMS = (
    Aim(
        f"Error of the median over that of reader (c), paired, on all and on those with an open plate: at most "
        f"{RATIO_A:g} at hospital A and {RATIO_B:g} at hospital B.",
        _ratios,
    ),
    Aim(
        "95 % intervals hold 95 +/- 1.5 % of all, and no group of sex and predicted maturity is significantly below "
        "95 %. Their promise is of the mix that they were fitted on (70 % T1, 15 % PD, 15 % T2); its coverage stands "
        "under *Weightings*.",
        _coverage,
    ),
    Aim(
        f"Expected calibration error of P(at least 18): at most {CALIBRATION:g}, or not significantly above that of "
        "perfectly calibrated readers.",
        _calibration,
    ),
    Aim(
        "False adults two years below each threshold, both sexes together: upper bound of the 95 % Wilson interval "
        f"under {LIMIT:.0%}, at each threshold.",
        _false_adults,
    ),
    Aim(
        f"Dice of plates of 2 mm and thicker at least {DICE_PLATES:.2f}, of either bone at least {DICE_BONES:g}; "
        f"outlines of open plates at most {OUTLINE_MM:g} mm apart, mean over plates of the slices in which both draw "
        "the plate (median, and the share not drawn at all, stand beside it); weighted kappa of either system of "
        f"stages at least {KAPPA:g} from 13 to 19 years.",
        _drawing,
    ),
)
