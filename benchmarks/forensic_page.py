"""The page of ``benchmarks.forensic``: sections of one table each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from benchmarks.forensic_aims import AIMS, COHORTS, number, span
from benchmarks.forensic_measures import Numbers

_PART = Callable[[Numbers], str]


def page(numbers: Numbers) -> str:
    """Write the page of results."""
    sizes = numbers["sizes"]
    parts: list[tuple[str, _PART]] = [
        ("Aims reached and missed", _verdict_part),
        ("Age", _age_part),
        ("Weightings", _weighting_part),
        ("Intervals", _coverage_part),
        ("Calibration", _calibration_part),
        ("Thresholds", _threshold_part),
        ("Likelihood ratios", _ratio_part),
        ("Abstentions", _abstention_part),
        ("Drawing", _drawing_part),
    ]
    head = (
        f"# A bundle on fresh virtual subjects\n\n{numbers['bundle']}, cohort {sizes['seed']}. Main test cohort: "
        f"{sizes['subjects']} subjects of 8 to 26 years, T1 alone, as the preset `forensic` is. About the thresholds: "
        f"{sizes['per_group']} of each sex and window of two years, T1 alone. Others: {sizes['others']} of 8 to 26 "
        f"years, half PD and half T2. All are in hospitals A and B. The first {sizes['segmented']} of the main cohort "
        "are whole series, as they are served; of all others only the slices about the plates' sites were painted, as "
        "of the subjects that intervals and limits are fitted on. Grey values are scaled over the whole series, so "
        f"that the two are not read quite alike. `python -m benchmarks.forensic {_options(sizes)}` makes it again.\n"
    )
    texts = "".join(f"{place}. {aim.text}\n" for place, aim in enumerate(AIMS, 1))
    aims = "\n## Aims, set before the seed was drawn\n" + texts + "".join(f"\n{words}\n" for words in COHORTS)
    return head + aims + "".join(f"\n## {title}\n{part(numbers)}\n" for title, part in parts)


def _options(sizes: Numbers) -> str:
    """Write sizes as options."""
    return " ".join(f"--{name.replace('_', '-')} {size}" for name, size in sizes.items())


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Write a table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _verdict_part(numbers: Numbers) -> str:
    """Write what was reached, row by row, and which aims are reached as a whole."""
    found = numbers["verdicts"]
    missed = sorted({row["aim"] for row in found if not row["reached"]})
    reached = sorted({row["aim"] for row in found} - set(missed))
    words = f"Reached: {_list(reached)}. Missed: {_list(missed)}.\n\n"
    rows = [
        (
            row["aim"],
            row["what"],
            row["asked"],
            row["found"] or "not measured",
            row["interval"],
            "reached" if row["reached"] else "**missed**",
        )
        for row in found
    ]
    return words + _table(("aim", "number", "asked", "found", "95 % interval, or beside it", "verdict"), rows)


def _list(aims: Sequence[int]) -> str:
    """Write numbers of aims."""
    return ", ".join(map(str, aims)) or "none"


def _age_part(numbers: Numbers) -> str:
    """Write errors beside those of the best reader."""
    head = (
        *("the bundle is told", "reader (c) knows", "group", "n", "MAE, years", "reader (c)"),
        *("ratio", "95 % interval", "bias of the median, years"),
    )
    told = (
        ("sex, sequence", "sex, percentiles of height and weight", "age"),
        ("sex, sequence, cm and kg", "sex, cm and kg", "age_with_body"),
    )
    rows = [
        (
            bundle,
            reader,
            row["group"],
            row["subjects"],
            f"{row['mae_years']:.3f}",
            f"{row['best_mae_years']:.3f}",
            number(row["ratio"], 3) or "",
            span(row["ratio_low"], row["ratio_high"], 3),
            _bias(row),
        )
        for bundle, reader, key in told
        for row in numbers[key]
    ]
    words = (
        "Reader (c) knows thickness and openness of both plates as measured on true labels, and the law of growth. "
        "Where the bundle is told the sex alone, reader (c) knows height and weight for age, as percentiles, besides. "
        "A positive bias: read as older.\n\n"
    )
    return words + _table(head, rows)


def _bias(row: Numbers | None) -> str:
    """Write a bias with its interval."""
    if row is None:
        return ""
    return f"{row['bias_years']:+.3f} ({row['bias_low']:+.3f} to {row['bias_high']:+.3f})"


def _weighting_part(numbers: Numbers) -> str:
    """Write the numbers of each weighting, and the coverage of the mix."""
    found = numbers["weightings"]
    rows = [
        (
            row["weighting"],
            row["all"]["subjects"],
            f"{row['all']['mae_years']:.3f}",
            f"{number(row['all']['ratio'], 3)} ({span(row['all']['ratio_low'], row['all']['ratio_high'], 3)})",
            _bias(row["open"]),
            _said(row["coverage"]),
            _said(row["abstained"]),
        )
        for row in found["rows"]
    ]
    mix = found["mix"]
    measured = f" It is {mix['share']:.1%} ({mix['low']:.1%} to {mix['high']:.1%})." if mix else ""
    words = (
        "Slices about the sites alone, so that the rows compare like with like. The conformal intervals promise 95 % "
        "of the mix that they were fitted on, 70 % T1, 15 % PD and 15 % T2, and of no weighting by itself; the mix's "
        f"coverage is the rows' by these shares.{measured}\n\n"
    )
    head = (
        *("weighting", "n", "MAE, years", "ratio to reader (c)", "bias of the median, open plate, years"),
        *("inside the 95 % interval", "abstained"),
    )
    return words + _table(head, rows)


def _coverage_part(numbers: Numbers) -> str:
    """Write coverage overall, by group and by true age."""
    found = numbers["coverage"]
    head = ("who", "n", "inside", "Wilson 95 %", "p below 95 % (Holm)", "best reader's credible intervals")
    rows = [
        (
            row["name"],
            row["subjects"],
            f"{row['share']:.1%}",
            f"{row['low']:.1%} to {row['high']:.1%}",
            f"{row['p_holm']:.3f}" if row["judged"] else "too few",
            f"{row['best_reader']:.1%}" if "best_reader" in row else "",
        )
        for row in (found["all"], *found["makings"], *found["groups"], *found["by_age"])
    ]
    return "The main test cohort, T1 alone.\n\n" + _table(head, rows)


def _calibration_part(numbers: Numbers) -> str:
    """Write the calibration errors."""
    rows = [
        (
            f"{row['age_years']:g}",
            row["who"],
            row["subjects"],
            f"{row['error']:.4f}",
            f"{row['perfect_mean']:.4f}",
            f"{row['perfect_95']:.4f}",
            f"{row['p_value']:.3f}",
        )
        for row in numbers["calibration"]
    ]
    words = (
        "Expected calibration error of P(at least a threshold) in the main test cohort, and what perfectly calibrated "
        "readers of as many subjects show by chance. Most of all are years away from a threshold; the others are those "
        "of whom the bundle is not sure.\n\n"
    )
    head = ("threshold", "who", "n", "error", "perfect readers, mean", "95 % of them at most", "p")
    return words + _table(head, rows)


def _threshold_part(numbers: Numbers) -> str:
    """Write the rule's errors, and those of the best readers on the same subjects."""
    if not numbers["thresholds"]:
        return "The bundle has no tuned rule."
    head = ("threshold", "reader", "sex", "false adult, two years below", "false minor", "undetermined")
    kinds = ("false_adult", "false_minor", "undetermined")
    rows = [
        (f"{row['age_years']:g}", row["reader"], row["sex"], *(_said(row[kind]) for kind in kinds))
        for row in numbers["thresholds"]
    ]
    words = (
        "The cohorts about the thresholds. Whom the bundle abstains from (below) is not among its subjects. The rule "
        "of readers (a) and (b) is tuned on simulated subjects and counted on these. Each Wilson bound is of its own "
        "row: that all four hold at once is less certain than that one does.\n\n"
    )
    return words + _table(head, rows)


def _ratio_part(numbers: Numbers) -> str:
    """Write what the likelihood ratios are worth."""
    names = ("younger_misled", "younger_misled_strongly", "older_misled", "older_misled_strongly")
    rows = [
        (
            f"{row['age_years']:g}",
            row["reader"],
            _said(row["not_given"]),
            number(row["cost"], 3) or "",
            span(row["cost_low"], row["cost_high"], 3),
            number(row["least_cost"], 3) or "",
            *(_said(row[name]) for name in names),
        )
        for row in numbers["ratios"]
    ]
    words = (
        "The two years below a threshold against the two years above, on the cohorts about the thresholds. Cllr: 0 is "
        "perfect, 1 as good as no ratio; its minimum is what is left after the best calibration that keeps the order "
        "(pool adjacent violators, by the true answers). Shares are of the ratios that are given. Reader (c) knows "
        "percentiles of height and weight besides.\n\n"
    )
    head = (
        *("threshold", "reader", "not given", "Cllr", "95 % interval", "minimum"),
        *("younger, LR > 1", "younger, LR > 10", "older, LR < 1", "older, LR < 0.1"),
    )
    return words + _table(head, rows)


def _abstention_part(numbers: Numbers) -> str:
    """Write whom the bundle gives no age."""
    rows = [(row["group"], _said(row)) for row in numbers["abstained"]]
    return _table(("who", "abstained"), rows)


def _said(rate: Numbers) -> str:
    """Write a rate with its Wilson interval."""
    if not rate["subjects"]:
        return ""
    return f"{rate['share']:.2%} ({rate['errors']}/{rate['subjects']}; {rate['low']:.2%} to {rate['high']:.2%})"


def _drawing_part(numbers: Numbers) -> str:
    """Write how well the plates are drawn."""
    found = numbers["drawing"]
    rows = [
        (name.replace("_", " "), f"{value:.4g}", _interval(found["intervals"], name))
        for name, value in found["numbers"].items()
    ]
    words = (
        f"The {found['subjects']} whole series. Intervals are bootstrapped over subjects. A closed plate has nothing "
        "open in the true labels; *drawn open share* counts those on which any open plate is drawn, be it a voxel, "
        "*mm3* is the mean of these, and *measured open* are those whose measured openness is above 0.\n\n"
    )
    return words + _table(("measure", "value", "95 % interval"), rows)


def _interval(intervals: Numbers, name: str) -> str:
    """Write the interval of a number, where it has one."""
    low, high = intervals.get(name, (None, None))
    return span(low, high, 4)
