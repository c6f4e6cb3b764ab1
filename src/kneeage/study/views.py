"""The tables of a study as a reader sees them: rounded, with units, intervals beside their numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from kneeage.cohort.summary import table_rows
from kneeage.phantom.cohort.ceiling import Reader
from kneeage.study.ceiling_share import ceiling_shares
from kneeage.study.comparison import SignificanceTest
from kneeage.study.intervals import Proportion
from kneeage.study.metrics import Measure, Overall, cells
from kneeage.study.predictions import Group, Predictions, subject_level
from kneeage.study.resampling import Bootstrapped
from kneeage.study.results import GroupCeiling, StudyResults
from kneeage.study.table2 import Spread
from kneeage.study.tables import (
    PRINTED_MEANS,
    PRINTED_ROWS,
    Confusions,
    accuracy_share_of,
    level_confusions,
    of_group,
    table_2_rows,
)

NOTHING, NOT_DEFINED = "–", "not defined"
_MEASURES = {
    Measure.PUBLISHED_ACCURACY: "“Accuracy” as published: recall",
    Measure.ONE_VS_REST_ACCURACY: "Accuracy, one against the rest",
    Measure.PRECISION: "Precision",
    Measure.RECALL: "Recall",
    Measure.SENSITIVITY: "Sensitivity",
    Measure.SPECIFICITY: "Specificity",
}
METRIC_WORDS = {
    "accuracy": "Accuracy, %",
    "macro_recall": "Macro recall, %",
    "within_one_year": "Within one year, %",
    "mean_absolute_error_years": "MAE, years",
    "root_mean_square_error_years": "RMSE, years",
}
_SHARES = ("accuracy", "macro_recall", "within_one_year")
# Values of a list that are written out.
_MOST_VALUES = 12


@dataclass(frozen=True)
class View:
    """A table to look at.

    Args:
        header: Headings of the columns.
        rows: As many texts each; the first names the row.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def study_views(results: StudyResults) -> dict[str, View]:
    """Make all tables of the page by name; one without rows says that there is nothing to show."""
    levels = {f"table2_{name}": _table_2(counts) for name, counts in level_confusions(results).items()}
    return {
        "table1": View(
            ("Completed years", *(group.name for group in results.groups)),
            tuple(tuple(cell or NOTHING for cell in row) for row in table_rows(results.groups)),
        ),
        "table2": levels["table2_subjects"],
        "table2_slices": levels.get("table2_slices", View((), ())),
        "recall": _recall(subject_level(results.predictions)),
        "levels": View(("Group, rows", "Rows", *METRIC_WORDS.values(), "Mean error, years"), tuple(_levels(results))),
        "thresholds": View(_THRESHOLD_HEADER, tuple(_thresholds(results))),
        "differences": View(("External less internal", "Difference", "95 % interval"), tuple(_differences(results))),
        "sites": View(("Site", "Group", "Subjects", *METRIC_WORDS.values()), tuple(_sites(results))),
        "dice": View(("Plate", "Group", *(f"Fold {fold}" for fold in range(results.folds))), tuple(_dice(results))),
        "ceilings": View(_CEILING_HEADER, tuple(_ceilings(results))),
        "audit": View(("Looked for", "Outcome", "Detail"), tuple(_audit(results))),
        "settings": View(("Setting", "Value"), tuple(flat(used(results.settings)))),
        "software": View(("Software", "Version"), tuple(results.software.items())),
    }


def percent(share: float) -> str:
    """Write a share in percent."""
    return NOTHING if math.isnan(share) else f"{100 * share:.1f}"


def decimals(value: float, digits: int = 2, *, signed: bool = False) -> str:
    """Write a number, with a true minus and if wanted a plus; what is rounded to zero has neither."""
    if math.isnan(value):
        return NOTHING
    sign = "+" if signed and round(value, digits) > 0 else ""
    return sign + f"{value:z.{digits}f}".replace("-", "−")


def p_value(value: float) -> str:
    """Write a P as papers do."""
    return "< .001" if value < 0.001 else decimals(value, 3).removeprefix("0")


def metric(name: str, value: float, *, signed: bool = False) -> str:
    """Write a metric, shares in percent, errors in years."""
    scaled, digits = (100 * value, 1) if name in _SHARES else (value, 2)
    return decimals(scaled, digits, signed=signed)


def between(name: str, found: Bootstrapped, *, signed: bool = False) -> str:
    """Write the interval of a metric."""
    return f"{metric(name, found.low, signed=signed)} to {metric(name, found.high, signed=signed)}"


def used(settings: Mapping[str, object]) -> dict[str, object]:
    """Leave out the part of the settings for a model that the study does not have."""
    models = {"age_model", "end_to_end"}
    unused = models - {settings["model"]} if settings.get("model") in models else set()
    return {name: value for name, value in settings.items() if name not in unused}


def flat(settings: Mapping[str, object], above: str = "") -> Iterator[tuple[str, str]]:
    """List nested settings with dotted names."""
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{above}{name}.")
        else:
            yield above + name, _setting(value)


def _setting(value: object) -> str:
    """Write a setting; of a long list the ends."""
    if isinstance(value, list | tuple):
        texts = [_setting(each) for each in value]
        ends = [*texts[:3], "…", texts[-1]] if len(texts) > _MOST_VALUES else texts
        return ", ".join(ends) + (f" ({len(texts)} values)" if len(texts) > _MOST_VALUES else "")
    return f"{value:g}" if isinstance(value, float) else str(value)


def _table_2(counts: Confusions) -> View:
    """Write Table 2 with its rows named rightly."""
    header = ("Measure", "Row in the paper", "Test", "Validation", "Levene F", "P", "t", "P", "Paper: test; validation")
    rows = []
    for row in table_2_rows(counts):
        printed, found = PRINTED_MEANS.get(row.measure), row.comparison
        tests = (None, None) if found is None else (found.levene, found.t)
        rows.append(
            (
                *(_MEASURES[row.measure], PRINTED_ROWS[row.measure] or "not printed"),
                *(_spread(row.first), _spread(row.second), *_test(tests[0]), *_test(tests[1])),
                NOTHING if printed is None else "; ".join(f"{mean:.5f}" for mean in printed),
            )
        )
    return View(header, tuple(rows))


def _spread(spread: Spread) -> str:
    """Write mean, SD and number of values; a single value has no SD, and of none there is no mean."""
    words = [NOT_DEFINED if math.isnan(value) else f"{value:.5f}" for value in (spread.mean, spread.sd)]
    shown = " ± ".join(words) if spread.n else NOT_DEFINED
    return f"{shown} (n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{spread.n})"


def _test(test: SignificanceTest | None) -> tuple[str, str]:
    """Write a statistic and its P."""
    return (NOT_DEFINED, NOTHING) if test is None else (decimals(test.statistic), p_value(test.p_value))


def _recall(predictions: Predictions) -> View:
    """Write the recall of every class and fold."""
    found = {group: cells(predictions, group)[Measure.RECALL] for group in Group}
    folds = {group: predictions.of_group(group).folds for group in Group}
    header = ("Completed years", *(f"{group.value}, fold {fold}" for group in Group for fold in folds[group]))
    rows = [
        (str(age), *(percent(float(value)) for group in Group for value in found[group][:, place]))
        for place, age in enumerate(predictions.classes)
    ]
    return View(header, tuple(rows))


def _levels(results: StudyResults) -> Iterator[tuple[str, ...]]:
    """Set slices, models and votes beside each other."""
    for group in Group:
        own = of_group(results, group)
        if own.slices is not None:
            yield (f"{group.value}, slices", *_numbers(own.slices, {}))
        yield (f"{group.value}, models", *_numbers(own.models, own.intervals_of_models))
        yield (f"{group.value}, votes", *_numbers(own.votes, own.intervals_of_votes))


def _numbers(values: Overall, intervals: Mapping[str, Bootstrapped]) -> Iterator[str]:
    """Write the numbers over all rows, each with its interval where there is one."""
    yield f"{values.rows:,}"
    for name in METRIC_WORDS:
        interval = f" ({between(name, intervals[name])})" if name in intervals else ""
        yield metric(name, getattr(values, name)) + interval
    yield decimals(values.mean_error_years)


_THRESHOLD_HEADER = ("Age, group", "AUC", "Sensitivity, %", "Specificity, %", "False adults, %", "False minors, %")


def _thresholds(results: StudyResults) -> Iterator[tuple[str, ...]]:
    """Write the numbers at legal ages, both groups beneath each other."""
    found = {(each.age_years, group): each for group in Group for each in of_group(results, group).thresholds}
    for age, group in sorted(found, key=lambda place: place[0]):
        each = found[age, group]
        shares = (each.sensitivity, each.specificity, each.false_adult, each.false_minor)
        yield (f"{age} years, {group.value}", decimals(each.auc, 3), *map(_share, shares))


def _share(share: Proportion) -> str:
    """Write a share with its interval and its counts."""
    interval = f"{100 * share.low:.1f} to {100 * share.high:.1f}"
    return f"{percent(share.value)} ({interval}; {share.count} of {share.total})"


def _differences(results: StudyResults) -> Iterator[tuple[str, ...]]:
    """Write external less internal numbers."""
    for name, found in results.assessment.external_less_internal.items():
        words = METRIC_WORDS[name].replace("%", "points")
        yield words, metric(name, found.value, signed=True), between(name, found, signed=True)


def _sites(results: StudyResults) -> Iterator[tuple[str, ...]]:
    """Write the numbers of each site."""
    for group in Group:
        for site, values in of_group(results, group).votes_by_site.items():
            yield (site, group.value, str(values.rows), *(metric(name, getattr(values, name)) for name in METRIC_WORDS))


def _dice(results: StudyResults) -> Iterator[tuple[str, ...]]:
    """Write the Dice of each plate and group, a column per fold."""
    found = {(each.plate, each.group, each.fold): each for each in results.dice}
    for plate, group in dict.fromkeys((plate, group) for plate, group, _ in found):
        texts = (
            f"{each.mean:.3f} ± {each.sd:.3f} (n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{each.subjects})"
            if each
            else NOTHING
            for each in (found.get((plate, group, fold)) for fold in range(results.folds))
        )
        yield (plate, group.value, *texts)


# How a reader is called: the ceilings (a), (b) and (c) of the documentation.
READER_WORDS = {
    Reader.LATENTS: "(a) all latents, sex, height and weight",
    Reader.PLATES: "(b) the plates alone",
    Reader.MEASURED: "(c) thickness and openness as measured, sex, height and weight",
}
_CEILING_HEADER = ("Measure, one vote per subject", "Reached", *READER_WORDS.values())


def _ceilings(results: StudyResults) -> Iterator[tuple[str, ...]]:
    """Set what was reached beside what each best reader does, and the share of it."""
    for group in Group:
        readers = {given.ceiling.reader: given for given in results.ceilings if given.group is group}
        if not readers:
            continue
        columns = [_ceiling(results, readers[reader]) if reader in readers else {} for reader in READER_WORDS]
        for name, limit in _CEILING_MEASURES.items():
            place = f"{METRIC_WORDS[name]} ({group.value})"
            reached = metric(name, getattr(of_group(results, group).votes, name))
            yield (place, reached, *(column.get(limit, NOTHING) for column in columns))


# What a ceiling calls the measures of a study.
_CEILING_MEASURES = {
    "accuracy": "exact_year",
    "macro_recall": "macro_recall",
    "within_one_year": "within_one_year",
    "mean_absolute_error_years": "mean_absolute_error_years",
}


def _ceiling(results: StudyResults, given: GroupCeiling) -> dict[str, str]:
    """Write what one reader does, and which share of it was reached, by measure."""
    best, found = given.ceiling, ceiling_shares(of_group(results, given.group).votes, given.ceiling)
    shares = (found.accuracy, found.macro_recall, found.within_one_year, found.mean_absolute_error)
    texts = {
        limit: f"{metric(name, getattr(best, limit).value)}; reached {percent(share)} % of it"
        for (name, limit), share in zip(_CEILING_MEASURES.items(), shares, strict=True)
    }
    interval = accuracy_share_of(results, given)
    texts["exact_year"] += f" ({percent(interval.low)} to {percent(interval.high)})"
    return texts


def ceiling_sentences(results: StudyResults) -> Iterator[str]:
    """Say of each group which share of the accuracy of ceiling (c) was reached."""
    for given in results.ceilings:
        if given.ceiling.reader is Reader.MEASURED:
            share = accuracy_share_of(results, given)
            yield (
                f"{given.group.value.capitalize()}: the completed year is told of "
                f"{percent(of_group(results, given.group).votes.accuracy)} % of the subjects, which is "
                f"{percent(share.value)} % (95 % interval {percent(share.low)} to {percent(share.high)} %) of what the "
                f"best reader (c) tells of the same subjects, {percent(given.ceiling.exact_year.value)} %."
            )


def _audit(results: StudyResults) -> Iterator[tuple[str, ...]]:
    """List the checks of the leakage audit."""
    for finding in results.audit:
        yield finding.question, finding.outcome.value, finding.detail or NOTHING
