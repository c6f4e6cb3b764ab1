"""The tables of a study: one CSV file each, numbers in full, what is not defined left empty."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from kneeage.cohort.summary import table_rows
from kneeage.study.assessment import METRICS, GroupAssessment
from kneeage.study.ceiling_share import accuracy_share, ceiling_shares
from kneeage.study.comparison import SignificanceTest
from kneeage.study.intervals import Proportion
from kneeage.study.metrics import Measure, Overall, cells_of, class_rates, fold_confusions
from kneeage.study.predictions import Group, IntArray, one_vote, subject_level
from kneeage.study.reliability import Reliability
from kneeage.study.resampling import Bootstrapped
from kneeage.study.results import GroupCeiling, StudyResults
from kneeage.study.roc import RocPanel, roc_panels
from kneeage.study.table2 import Table2Row, table2
from kneeage.study.thresholds import ThresholdNumbers

Cell = str | int | float | None
Row = tuple[Cell, ...]
# True against called classes, by group and fold.
Confusions = Mapping[Group, Mapping[int, IntArray]]

# The row of the paper's Table 2 that holds a measure. Source: Gao et al.; docs/statistics.md on what is swapped.
PRINTED_ROWS = {
    Measure.PUBLISHED_ACCURACY: "accuracy",
    Measure.ONE_VS_REST_ACCURACY: None,
    Measure.PRECISION: "precision",
    Measure.RECALL: "recall",
    Measure.SENSITIVITY: "specificity (swapped)",
    Measure.SPECIFICITY: "sensitivity (swapped)",
}
# Means of the test and the validation group. Source: Gao et al., Table 2.
PRINTED_MEANS = {
    Measure.PUBLISHED_ACCURACY: (0.82578, 0.85713),
    Measure.PRECISION: (0.83145, 0.84732),
    Measure.RECALL: (0.82578, 0.85713),
    Measure.SENSITIVITY: (0.82578, 0.85713),
    Measure.SPECIFICITY: (0.97442, 0.97729),
}
_SHARES = ("sensitivity", "specificity", "false_adult", "false_minor")
_OVERALL = tuple(each.name for each in fields(Overall) if each.name != "rows")


@dataclass(frozen=True)
class Table:
    """One CSV file.

    Args:
        name: Of the file, without its ending.
        columns: Names of the columns.
        rows: As many cells each; None and NaN are written as nothing.
    """

    name: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


def study_tables(results: StudyResults) -> tuple[Table, ...]:
    """Make all tables of a study; one that nothing is known for is left out."""
    made = (
        table_1(results),
        *(_table_2(f"table2_{name}", counts) for name, counts in level_confusions(results).items()),
        _cells(results),
        _confusion(results),
        _levels(results),
        _thresholds(results),
        _sites(results),
        _differences(results),
        _equivalence(results),
        _calibration(results),
        _roc_areas(results),
        _dice(results),
        _ceilings(results),
        _audit(results),
    )
    return tuple(table for table in made if table.rows)


def write_table(folder: Path, table: Table) -> None:
    """Write a table as ``NAME.csv``; fractions with six digits."""
    with (folder / f"{table.name}.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(table.columns)
        writer.writerows([_written(cell) for cell in row] for row in table.rows)


def table_1(results: StudyResults) -> Table:
    """Count subjects by completed years, as the paper's Table 1 does."""
    names = (group.name for group in results.groups)
    return Table("table1", ("completed_years", *names), tuple(tuple(row) for row in table_rows(results.groups)))


def lettered_panels(results: StudyResults) -> tuple[RocPanel, ...]:
    """Give the ROC panels of subjects; letters count the folds that are missing too, so that F is always external."""
    panels = roc_panels(subject_level(results.predictions))
    offset = {Group.INTERNAL: 0, Group.EXTERNAL: results.folds}
    return tuple(
        RocPanel(panel_letter(offset[panel.group] + panel.fold), panel.group, panel.fold, panel.curves, panel.macro)
        for panel in panels
    )


def panel_letter(place: int) -> str:
    """Letter a panel by its place from 0 on: A to Z, then a number."""
    return chr(ord("A") + place) if place < 26 else str(place + 1)


def level_confusions(results: StudyResults) -> dict[str, Confusions]:
    """Count what a table of the paper is made from: subjects, and slices where something is known of them."""
    models = subject_level(results.predictions)
    by_slice = {"slices": results.slice_confusions} if results.slice_confusions else {}
    return {"subjects": {group: fold_confusions(models, group) for group in Group}} | by_slice


def table_2_rows(counts: Confusions) -> tuple[Table2Row, ...]:
    """Make Table 2 from the confusion matrices of both groups."""
    external, internal = (cells_of(list(counts[group].values())) for group in (Group.EXTERNAL, Group.INTERNAL))
    return table2(external, internal)


def _table_2(name: str, counts: Confusions) -> Table:
    """Make Table 2 with its rows named rightly."""
    columns = (
        *("measure", "row_in_the_paper", "external_n", "external_mean", "external_sd"),
        *("internal_n", "internal_mean", "internal_sd", "levene_F", "levene_P", "t", "t_P", "welch_t", "welch_P"),
        *("paper_external_mean", "paper_internal_mean"),
    )
    rows = []
    for row in table_2_rows(counts):
        first, second, found = row.first, row.second, row.comparison
        tests = (None, None, None) if found is None else (found.levene, found.t, found.welch)
        printed = PRINTED_MEANS.get(row.measure, (None, None))
        rows.append(
            (
                *(row.measure.value, PRINTED_ROWS[row.measure], first.n, first.mean, first.sd),
                *(second.n, second.mean, second.sd, *(cell for test in tests for cell in _test(test)), *printed),
            )
        )
    return Table(name, columns, tuple(rows))


def _test(test: SignificanceTest | None) -> Row:
    """Write a test's statistic and P."""
    return (None, None) if test is None else (test.statistic, test.p_value)


def _cells(results: StudyResults) -> Table:
    """List every class in every fold, from subjects and from slices."""
    columns = ("rows_are", "group", "fold", "age_years", "rows", *(measure.value for measure in Measure))
    rows = [
        (name, group.value, fold, *cell)
        for name, counts in level_confusions(results).items()
        for group in Group
        for fold, own in counts[group].items()
        for cell in _cell_rows(own, results.assessment.classes)
    ]
    return Table("cells", columns, tuple(rows))


def _cell_rows(counts: IntArray, classes: Sequence[int]) -> Iterator[Row]:
    """List the classes of one confusion matrix."""
    rates = class_rates(counts)
    for place, age in enumerate(classes):
        yield (age, int(counts[place].sum()), *(float(rates[measure][place]) for measure in Measure))


def _confusion(results: StudyResults) -> Table:
    """Write the confusion matrices of votes, as counts and as shares of each true class."""
    classes = results.assessment.classes
    columns = ("group", "true_age_years", "subjects")
    called = (*(f"called_{age}" for age in classes), *(f"share_called_{age}" for age in classes))
    rows = [
        (group.value, age, sum(counts), *counts, *(count / sum(counts) if sum(counts) else None for count in counts))
        for group in Group
        for age, counts in zip(classes, of_group(results, group).confusion_of_votes, strict=True)
    ]
    return Table("confusion", (*columns, *called), tuple(rows))


def of_group(results: StudyResults, group: Group) -> GroupAssessment:
    """Give the numbers of one group."""
    return results.assessment.internal if group is Group.INTERNAL else results.assessment.external


def _levels(results: StudyResults) -> Table:
    """Set slices, models and votes beside each other, with intervals where rows are subjects."""
    ends = tuple(f"{name}_{end}" for name in METRICS for end in ("low", "high"))
    rows: list[Row] = []
    for group in Group:
        own = of_group(results, group)
        unknown: Row = (None,) * (2 * len(METRICS))
        if own.slices is not None:
            rows.append((group.value, "slices", own.slices.rows, *_numbers(own.slices), *unknown))
        for name, values, intervals in (
            ("models", own.models, own.intervals_of_models),
            ("votes", own.votes, own.intervals_of_votes),
        ):
            bounds = (end for metric in METRICS for end in (intervals[metric].low, intervals[metric].high))
            rows.append((group.value, name, values.rows, *_numbers(values), *bounds))
    return Table("levels", ("group", "rows_are", "rows", *_OVERALL, *ends), tuple(rows))


def _numbers(values: Overall) -> Row:
    """List the numbers over all rows."""
    return tuple(getattr(values, name) for name in _OVERALL)


def _thresholds(results: StudyResults) -> Table:
    """List the numbers at legal ages, of votes, with Wilson intervals."""
    ends = ("count", "of", "value", "low", "high")
    columns = ("group", "age_years", "auc", *(f"{share}_{end}" for share in _SHARES for end in ends))
    rows = [(group.value, *_threshold(each)) for group in Group for each in of_group(results, group).thresholds]
    return Table("thresholds", columns, tuple(rows))


def _threshold(numbers: ThresholdNumbers) -> Row:
    """List the numbers at one age."""
    shares = [getattr(numbers, name) for name in _SHARES]
    return (numbers.age_years, numbers.auc, *(cell for share in shares for cell in _share(share)))


def _share(share: Proportion) -> Row:
    """List a share with its interval."""
    return (share.count, share.total, share.value, share.low, share.high)


def _sites(results: StudyResults) -> Table:
    """List the numbers of each site, of votes."""
    rows = [
        (group.value, site, values.rows, *_numbers(values))
        for group in Group
        for site, values in of_group(results, group).votes_by_site.items()
    ]
    return Table("sites", ("group", "site", "subjects", *_OVERALL), tuple(rows))


def _differences(results: StudyResults) -> Table:
    """List external less internal numbers, of models."""
    found = results.assessment.external_less_internal
    columns = ("measure", "external_less_internal", "low", "high", "level", "standard_error", "replicates")
    rows = [
        (name, each.value, each.low, each.high, each.level, each.standard_error, each.replicates)
        for name, each in found.items()
    ]
    return Table("differences", columns, tuple(rows))


def _equivalence(results: StudyResults) -> Table:
    """Write the two one-sided tests."""
    found = results.assessment.equivalence
    columns = ("measure", "external_less_internal", "low", "high", "level", "margin", "P", "equivalent")
    between = found.difference
    verdict = "yes" if found.equivalent else "not shown"
    row = (between.value, between.low, between.high, between.level, found.margin, found.p_value, verdict)
    return Table("equivalence", columns, (("macro_recall", *row),))


def _calibration(results: StudyResults) -> Table:
    """List the bins of every calibration curve, of votes."""
    columns = ("group", "probability_of", "bin_low", "bin_high", "mean_probability")
    observed = ("count", "of", "observed", "low", "high", "expected_calibration_error")
    rows: list[Row] = []
    for group in Group:
        own = of_group(results, group)
        rows.extend(_bins(group, "most probable class", own.calibration))
        for age, found in own.calibration_at_thresholds.items():
            rows.extend(_bins(group, f"{age} years or more", found))
    return Table("calibration", (*columns, *observed), tuple(rows))


def _bins(group: Group, name: str, found: Reliability) -> Iterator[Row]:
    """List the bins of one curve."""
    for each in found.bins:
        place = (each.low, each.high, each.mean_probability)
        yield (group.value, name, *place, *_share(each.observed), found.expected_calibration_error)


def _roc_areas(results: StudyResults) -> Table:
    """List the areas under all curves of the ten panels."""
    rows: list[Row] = []
    for panel in lettered_panels(results):
        place = (panel.letter, panel.group.value, panel.fold)
        rows.extend((*place, age, curve.area) for age, curve in panel.curves.items())
        rows.append((*place, "macro average", None if panel.macro is None else panel.macro.area))
    return Table("roc_areas", ("panel", "group", "fold", "age_years", "area"), tuple(rows))


def _dice(results: StudyResults) -> Table:
    """List the Dice of the plates."""
    rows = [(each.fold, each.group.value, each.plate, each.subjects, each.mean, each.sd) for each in results.dice]
    return Table("dice", ("fold", "group", "plate", "subjects", "mean", "sd"), tuple(rows))


def _ceilings(results: StudyResults) -> Table:
    """Set what was reached beside what the best readers do."""
    shares = ("share_of_best", "share_low", "share_high")
    columns = ("group", "reader", "subjects", "measure", "best", "best_error", "reached", *shares)
    rows = tuple(row for each in results.ceilings for row in _ceiling(results, each))
    return Table("ceiling", columns, rows)


def _ceiling(results: StudyResults, given: GroupCeiling) -> Iterator[Row]:
    """Set one group beside one reader."""
    reached, best = of_group(results, given.group).votes, given.ceiling
    shares, interval = ceiling_shares(reached, best), accuracy_share_of(results, given)
    for name, limit, share in (
        ("accuracy", best.exact_year, shares.accuracy),
        ("macro_recall", best.macro_recall, shares.macro_recall),
        ("within_one_year", best.within_one_year, shares.within_one_year),
        ("mean_absolute_error_years", best.mean_absolute_error_years, shares.mean_absolute_error),
    ):
        bounds = (interval.low, interval.high) if name == "accuracy" else (None, None)
        place = (given.group.value, best.reader.value, best.subjects, name)
        yield (*place, limit.value, limit.error, getattr(reached, name), share, *bounds)


def accuracy_share_of(results: StudyResults, given: GroupCeiling) -> Bootstrapped:
    """Give the share of a reader's accuracy that was reached, with its interval."""
    return accuracy_share(one_vote(results.predictions.of_group(given.group)), given.told)


def _audit(results: StudyResults) -> Table:
    """List the checks of the leakage audit."""
    rows = [(each.question, each.outcome.value, each.detail) for each in results.audit]
    return Table("audit", ("looked_for", "outcome", "detail"), tuple(rows))


def _written(cell: Cell) -> str:
    """Write a cell."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return ""
    return f"{cell:.6g}" if isinstance(cell, float) else str(cell)
