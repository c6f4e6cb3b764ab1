"""The drawings of a study, one function each; ``kneeage.study.figures`` says what they are for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kneeage.study.drawing import (
    DASHES,
    FAINT,
    GROUP_COLOURS,
    GROUP_LINES,
    GROUP_MARKERS,
    INK,
    figure,
    ordered_colours,
    percent_axis,
)
from kneeage.study.intervals import Proportion, proportion
from kneeage.study.metrics import estimated_age_years
from kneeage.study.predictions import Group, Predictions, one_vote
from kneeage.study.reliability import Reliability
from kneeage.study.results import GroupCeiling, StudyResults, TrainingLog
from kneeage.study.roc import RocPanel
from kneeage.study.tables import lettered_panels, of_group, panel_letter
from kneeage.study.views import READER_WORDS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ROC_COLUMNS = 3
_ROC_PANEL_INCHES = 2.35
_SMALL_INCHES = 2.5
_TITLED_INCHES = 2.6
# Ages of a year's subjects that the bars of the figure of ages reach over.
_BAR_QUANTILES = (0.1, 0.9)
# Share from which white letters are read better than black ones on the map of greys.
_DARK_CELL = 0.6
_CURVE_POINTS = 120
_LEGEND: dict[str, Any] = {"loc": "center", "handlelength": 2.6}


def roc(results: StudyResults) -> Figure:
    """Draw a ROC panel for every group and fold, with room for those to come and a legend in each group's last row."""
    panels = {(panel.group, panel.fold): panel for panel in lettered_panels(results)}
    rows = -(-(results.folds + 1) // _ROC_COLUMNS)
    made = figure(2 * rows * _ROC_PANEL_INCHES)
    axes = made.subplots(2 * rows, _ROC_COLUMNS, squeeze=False)
    for part, group in enumerate(Group):
        places = axes[part * rows : (part + 1) * rows].ravel()
        for fold, axis in enumerate(places[: results.folds]):
            letter = panel_letter(part * results.folds + fold)
            title = rf"$\bf{{{letter}}}$   {group.value}, model of fold {fold}"
            _roc_panel(axis, panels.get((group, fold)), title, results.assessment.classes)
        for axis in places[results.folds :]:
            axis.set_axis_off()
        _roc_legend(places[results.folds], results.assessment.classes)
    return made


def _roc_panel(axis: Axes, panel: RocPanel | None, title: str, classes: Sequence[int]) -> None:
    """Draw the curves of one model and group."""
    axis.set_title(title, loc="left")
    axis.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal", xlabel="1 - specificity", ylabel="Sensitivity")
    axis.set_xticks([0, 0.5, 1])
    axis.set_yticks([0, 0.5, 1])
    axis.plot([0, 1], [0, 1], color=FAINT, linewidth=0.6)
    if panel is None:
        axis.text(0.5, 0.5, "not done yet", ha="center", va="center", color=INK, backgroundcolor="white")
        return
    for age, style in _class_styles(classes).items():
        if age in panel.curves:
            axis.plot(panel.curves[age].false_positive_rate, panel.curves[age].true_positive_rate, **style)
    if panel.macro is not None:
        axis.plot(panel.macro.false_positive_rate, panel.macro.true_positive_rate, **_MACRO_STYLE)
        axis.text(0.97, 0.04, f"macro AUC {panel.macro.area:.3f}", ha="right", va="bottom", fontsize=7.5)


_MACRO_STYLE: dict[str, Any] = {"color": "black", "linewidth": 2.2, "solid_joinstyle": "round"}


def _class_styles(classes: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Give every class a shade and a dash."""
    shades = ordered_colours(len(classes))
    return {
        age: {"color": shade, "linestyle": DASHES[place % len(DASHES)], "linewidth": 1.0}
        for place, (age, shade) in enumerate(zip(classes, shades, strict=True))
    }


def _roc_legend(axis: Axes, classes: Sequence[int]) -> None:
    """Explain the curves where a panel would be."""
    from matplotlib.lines import Line2D

    lines = [Line2D([], [], label=f"{age} years", **style) for age, style in _class_styles(classes).items()]
    macro = Line2D([], [], label="macro average", **_MACRO_STYLE)
    axis.legend(handles=[*lines, macro], title="One class against the rest", title_fontsize=7.5, **_LEGEND)


def curves(results: StudyResults) -> Figure:
    """Draw loss and learning rate over the steps, a row per stage of training, a line per fold."""
    stages = list(dict.fromkeys(log.stage for log in results.logs))
    made = figure(0.35 + _SMALL_INCHES * len(stages))
    axes = made.subplots(len(stages), 2, squeeze=False, width_ratios=(1.5, 1))
    for (loss, rate), stage in zip(axes, stages, strict=True):
        rate.set_yscale("log")
        for log in results.logs:
            if log.stage == stage:
                _training_lines(loss, rate, log, ordered_colours(results.folds)[log.fold])
        loss.set_title(f"{stage}: training (thin), validation (thick)", loc="left")
        loss.set(xlabel="Optimiser step", ylabel="Loss")
        loss.set_ylim(bottom=0)
        rate.set_title(f"{stage}: learning rate", loc="left")
        rate.set(xlabel="Optimiser step", ylabel="Learning rate")
        rate.legend(loc="best")
    return made


def _training_lines(loss: Axes, rate: Axes, log: TrainingLog, shade: tuple[float, ...]) -> None:
    """Draw one fold; a curve of many points as means of some steps each."""
    style: dict[str, Any] = {"color": shade, "linestyle": DASHES[log.fold % len(DASHES)]}
    loss.plot(*_thinned(log.curve("train_loss")), **style, linewidth=0.7, alpha=0.7)
    if log.validation_loss is not None:
        loss.plot(*_thinned(log.curve(log.validation_loss)), **style, linewidth=1.6)
    rate.plot(*_thinned(log.curve("learning_rate")), **style, label=f"fold {log.fold}")


def _thinned(points: tuple[Sequence[int], Sequence[float]]) -> tuple[list[float], list[float]]:
    """Average so many neighbours that few points remain."""
    blocks = min(_CURVE_POINTS, len(points[0]))
    if not blocks:
        return [], []
    steps, values = ([float(part.mean()) for part in np.array_split(np.array(each), blocks)] for each in points)
    return steps, values


def confusion(results: StudyResults, group: Group) -> Figure:
    """Draw one confusion matrix: shares of each true class, with the counts below."""
    classes = results.assessment.classes
    counts = np.array(of_group(results, group).confusion_of_votes)
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros(counts.shape), where=totals > 0)
    made = figure(4.6, 4.7, constrained=False)
    # Both groups have the same layout, whatever their labels, so that they stand side by side.
    made.subplots_adjust(left=0.155, right=0.98, bottom=0.09, top=0.94)
    axis = made.subplots()
    axis.imshow(shares, cmap="Greys", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        if count:
            _cell(axis, row, column, f"{100 * shares[row, column]:.0f}", int(count), shares[row, column] > _DARK_CELL)
    labels = [f"{age}\nn={total}" for age, total in zip(classes, totals.ravel(), strict=True)]
    axis.set_xticks(range(len(classes)), [str(age) for age in classes])
    axis.set_yticks(range(len(classes)), labels)
    axis.set(xlabel="Age called (completed years)", ylabel="Chronological age (completed years)")
    axis.set_title(f"{group.value}: % of each true year (count)", loc="left")
    return made


def _cell(axis: Axes, row: int, column: int, share: str, count: int, dark: bool) -> None:
    """Write share and count into a cell."""
    colour = "white" if dark else "black"
    axis.text(column, row - 0.13, share, ha="center", va="center", color=colour, fontsize=8)
    axis.text(column, row + 0.24, f"({count})", ha="center", va="center", color=colour, fontsize=6)


def calibration(results: StudyResults) -> Figure:
    """Draw calibration curves of the most probable class and of the probability to be past each legal age."""
    found = {group: of_group(results, group) for group in Group}
    ages = list(results.assessment.internal.calibration_at_thresholds)
    rows = -(-(len(ages) + 2) // _ROC_COLUMNS)
    made = figure(_TITLED_INCHES * rows)
    axes = made.subplots(rows, _ROC_COLUMNS, squeeze=False).ravel()
    named = {"most probable class": {group: own.calibration for group, own in found.items()}}
    named |= {
        f"{age} years or more": {group: own.calibration_at_thresholds[age] for group, own in found.items()}
        for age in ages
    }
    for axis, (name, by_group) in zip(axes, named.items(), strict=False):
        _calibration_panel(axis, name, by_group)
    for axis in axes[len(named) :]:
        axis.set_axis_off()
    axes[len(named)].legend(*axes[0].get_legend_handles_labels(), **_LEGEND)
    return made


def _calibration_panel(axis: Axes, name: str, by_group: dict[Group, Reliability]) -> None:
    """Draw the curves of both groups."""
    axis.plot([0, 1], [0, 1], color=FAINT, linewidth=0.8, label="perfect")
    for group, found in by_group.items():
        said = [each.mean_probability for each in found.bins]
        _with_intervals(axis, said, [each.observed for each in found.bins], group, linestyle=GROUP_LINES[group])
    errors = (f"{group.value} {100 * found.expected_calibration_error:.1f} %" for group, found in by_group.items())
    axis.set_title(f"{name}\nECE {', '.join(errors)}", loc="left", fontsize=7)
    axis.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), aspect="equal", xlabel="Probability said, %", ylabel="True, %")
    percent_axis(axis, "x")
    percent_axis(axis, "y")


def _with_intervals(axis: Axes, x: Sequence[float], shares: Sequence[Proportion], group: Group, **style: Any) -> None:
    """Draw shares with their intervals; external ones are open squares."""
    values = np.array([share.value for share in shares])
    bounds = np.array([(share.value - share.low, share.high - share.value) for share in shares]).T
    filling = GROUP_COLOURS[group] if group is Group.INTERNAL else "white"
    look: dict[str, Any] = {"color": GROUP_COLOURS[group], "marker": GROUP_MARKERS[group], "markerfacecolor": filling}
    label = f"{group.value}, 95 % interval"
    axis.errorbar(x, values, np.clip(bounds, 0, None), markersize=4.5, elinewidth=0.9, label=label, **look | style)


def ages(results: StudyResults) -> Figure:
    """Draw estimated against chronological age of every subject, a panel per group."""
    made = figure(4.2)
    axes = made.subplots(1, len(Group), sharex=True, sharey=True)
    first, last = results.assessment.classes[0], results.assessment.classes[-1] + 1
    for axis, group in zip(axes, Group, strict=True):
        votes = one_vote(results.predictions.of_group(group))
        _age_panel(axis, votes, group)
        axis.set_title(f"{group.value}, {votes.subjects} subjects", loc="left")
        axis.set(xlim=(first, last), ylim=(first, last), aspect="equal", xlabel="Chronological age, years")
        axis.set_xticks(range(first, last + 1))
        axis.set_yticks(range(first, last + 1))
        axis.grid(color="0.9", linewidth=0.5)
    axes[0].set_ylabel("Estimated age, years")
    made.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return made


def _age_panel(axis: Axes, votes: Predictions, group: Group) -> None:
    """Draw one group."""
    true, estimated = votes.chronological_age_years, estimated_age_years(votes)
    ends = np.array([votes.classes[0], votes.classes[-1] + 1.0])
    axis.fill_between(ends, ends - 1, ends + 1, color="0.88", linewidth=0, label="within 1 year", zorder=0)
    axis.plot(ends, ends, color=INK, linewidth=0.8, label="identity")
    look: dict[str, Any] = {"s": 5, "color": GROUP_COLOURS[group], "alpha": 0.45, "linewidths": 0}
    axis.scatter(true, estimated, rasterized=True, label="subject", **look)
    years = list(_by_year(votes, estimated))
    middle = np.array([each[1] for each in years])
    spread = np.abs(np.array([each[2] for each in years]).T - middle)
    bars: dict[str, Any] = {"fmt": "D", "color": "black", "markersize": 3.5, "elinewidth": 1.3, "capsize": 2.5}
    axis.errorbar([each[0] for each in years], middle, spread, label="median of a year, 10 to 90 %", **bars)


def _by_year(
    votes: Predictions, estimated: np.ndarray[Any, np.dtype[np.float64]]
) -> Iterator[tuple[float, float, Any]]:
    """Give each year's middle, the median of its estimates, and their quantiles."""
    for place in np.unique(votes.true_class):
        own = estimated[votes.true_class == place]
        yield votes.classes[place] + 0.5, float(np.median(own)), np.quantile(own, _BAR_QUANTILES)


def exact_year(results: StudyResults) -> Figure:
    """Draw by age which share of subjects is told to the year, beside the best readers' shares where they are known."""
    made = figure(3.3)
    axes = made.subplots(1, len(Group), sharey=True)
    first, last = results.assessment.classes[0], results.assessment.classes[-1] + 1
    for axis, group in zip(axes, Group, strict=True):
        _best_readers(axis, [each for each in results.ceilings if each.group is group])
        _told_by_year(axis, one_vote(results.predictions.of_group(group)), group)
        axis.set_title(group.value, loc="left")
        axis.set(xlim=(first, last), ylim=(0, 1.02), xlabel="Chronological age, years")
        axis.set_xticks(range(first, last + 1))
        axis.grid(axis="x", color="0.9", linewidth=0.5)
    axes[0].set_ylabel("Told to the year, %")
    percent_axis(axes[0])
    found = {label: handle for axis in axes for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    made.legend(list(found.values()), list(found), loc="outside lower center", ncols=2, handlelength=2.6)
    return made


def _told_by_year(axis: Axes, votes: Predictions, group: Group) -> None:
    """Draw the share that is told of each class that has subjects."""
    shares = {age + 0.5: _told(votes, place) for place, age in enumerate(votes.classes)}
    known = {age: share for age, share in shares.items() if share.total}
    _with_intervals(axis, list(known), list(known.values()), group, linestyle="none")


def _told(votes: Predictions, place: int) -> Proportion:
    """Give the share of a class that is told."""
    own = votes.called_class[votes.true_class == place]
    return proportion(int((own == place).sum()), len(own))


def _best_readers(axis: Axes, ceilings: Sequence[GroupCeiling]) -> None:
    """Draw the best readers' shares as steps over the years."""
    for place, given in enumerate(each for each in ceilings if each.exact_year_by_class):
        ages_years = sorted(given.exact_year_by_class)
        heights = [given.exact_year_by_class[age] for age in ages_years]
        axis.stairs(
            *(heights, [*ages_years, ages_years[-1] + 1]),
            baseline=None,
            color=(INK, FAINT, "0.3")[place % 3],
            linestyle=DASHES[place % len(DASHES)],
            label=f"best reader {READER_WORDS[given.ceiling.reader]}",
        )
