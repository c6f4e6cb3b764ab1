"""The page of a study: one self-contained HTML file that tells it as a paper would."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from kneeage.core.anatomy import Sex
from kneeage.phantom.cohort.ceiling import (
    PUBLISHED_MAE_YEARS,
    closed_form_exact_year,
    sd_for_exact_year,
    sd_of_absolute_error,
)
from kneeage.study.figures import FigureText
from kneeage.study.metrics import Measure
from kneeage.study.predictions import Group
from kneeage.study.results import AuditOutcome, SplitBy, StudyResults
from kneeage.study.tables import PRINTED_MEANS, of_group
from kneeage.study.views import METRIC_WORDS, between, ceiling_sentences, flat, metric, p_value, study_views, used

# What a setting's value means, by the last part of its name.
_WORDS = {
    "model": {
        "end_to_end": "Whole slices go through a U-Net into GoogLeNet: the probability of open plate and scar times "
        "the image. Gradients reach the U-Net, and all parameters are trained.",
    },
    "inputs": {
        "regions": "The age model sees regions around the growth plates: grey value, probability of open plate and "
        "probability of scar, side by side.",
        "masked": "The age model sees the grey value times the probability of open plate or scar, around the plates.",
        "raw": "The age model sees the grey value around the growth plates alone.",
    },
    "pooling": {
        "mean": "A subject's slices are pooled by the mean of their logits.",
        "attention": "A subject's slices are pooled by a weighted mean; the network learns the weights.",
    },
    "target": {
        "classes": "The target is the completed year (cross-entropy).",
        "soft": "The target is the decimal age, spread over age bins.",
    },
}
# How networks and optimizers write themselves.
_NAMES = {
    "googlenet": "GoogLeNet",
    "densenet121": "DenseNet-121",
    "efficientnet-b0": "EfficientNet-B0",
    "resnet18": "ResNet-18",
    "adam": "Adam",
    "adamw": "AdamW",
}
# Below as many subjects of a group the page warns. Source: ours; with nine classes it is about three subjects of each.
FEW_SUBJECTS = 30
_HEADLINES = ("macro_recall", "within_one_year", "mean_absolute_error_years")


@dataclass(frozen=True)
class Picture:
    """A figure on the page: its text, and its PNG as a data URI."""

    text: FigureText
    source: str


@dataclass(frozen=True)
class Headline:
    """One number of the summary: its name, where it is from, and its value and interval in both groups."""

    name: str
    rows: str
    internal: tuple[str, str]
    external: tuple[str, str]


def render_page(results: StudyResults, texts: Sequence[FigureText], figures: Path) -> str:
    """Write the page of a study.

    Args:
        results: The study.
        texts: Of the figures, in order.
        figures: Folder with their PNG files.

    Returns:
        An HTML document that loads nothing from outside and runs no script.
    """
    return _template().render(
        study=results,
        views=study_views(results),
        pictures={text.name: _picture(text, figures) for text in texts},
        headlines=_headlines(results),
        verdict=equivalence_sentence(results),
        groups={group.value: _members(results, group) for group in Group},
        classes=results.assessment.classes,
        methods=(*method_sentences(results.settings), *results.methods),
        missing=(*missing_sentences(results), *few_sentences(results)),
        printed=[f"{100 * mean:.1f}" for mean in PRINTED_MEANS[Measure.RECALL]],
        biology=biology_sentence(),
        leaks=[finding for finding in results.audit if finding.outcome is AuditOutcome.FOUND],
        sliced=results.split_by is SplitBy.SLICE,
        shares=tuple(ceiling_sentences(results)),
        margin=f"{100 * results.assessment.equivalence.margin:g}",
        replicates=results.assessment.equivalence.difference.replicates,
    )


def method_sentences(settings: Mapping[str, object]) -> Iterator[str]:
    """Say in sentences what settings mean; what has no words stands in the table of settings alone."""
    settings = used(settings)
    for name, value in flat(settings):
        leaf = name.rpartition(".")[2]
        if value in _WORDS.get(leaf, {}):
            yield _WORDS[leaf][value]
        elif leaf == "backbone":
            yield f"The network over slices is {_NAMES.get(value, value)}."
    for name, part in _parts(settings):
        if {"learning_rate", "batch_size"} <= part.keys():
            yield _training(name, part)


def missing_sentences(results: StudyResults) -> Iterator[str]:
    """Say what the study does not have."""
    if results.missing_folds:
        folds = ", ".join(str(fold) for fold in results.missing_folds)
        absent = "Slices" if results.split_by is SplitBy.SLICE else "Internal subjects"
        yield (
            f"Not done yet: fold {folds} of {results.folds}. {absent} of these folds have no predictions, and "
            "external subjects fewer votes; all numbers are of the folds that are done."
        )
    yield from results.reductions
    for known, words in (
        (results.audit, "The leakage audit was not done."),
        (results.dice, "There is no Dice of the plates: no true labels, or they were not compared."),
        (results.logs, "There are no training logs, so that no loss curves are drawn."),
        (results.slice_confusions, "Predictions are of subjects alone; there are no numbers over slices."),
        (results.ceilings or not results.virtual, "The ceiling of this virtual cohort was not computed."),
    ):
        if not known:
            yield words


def few_sentences(results: StudyResults) -> Iterator[str]:
    """Say of which group there are too few subjects for its intervals to mean much."""
    for group in Group:
        subjects = results.predictions.of_group(group).subjects
        if subjects < FEW_SUBJECTS:
            yield (
                f"The {group.value} group has {subjects} subjects. Below {FEW_SUBJECTS}, intervals and macro averages "
                "carry little: a class of one or two subjects weighs as much as any other, and bootstrap draws that "
                "miss a class average over those that are left."
            )


def _parts(settings: Mapping[str, object], above: str = "") -> Iterator[tuple[str, Mapping[str, object]]]:
    """Give every nested part of settings with its dotted name."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield above + name, value
            yield from _parts(value, f"{above}{name}.")


def _training(name: str, fit: Mapping[str, object]) -> str:
    """Say how one network was trained."""
    values = dict(flat(fit))
    schedule = values.get("schedule", "")
    end = f" to {values['last_rate']}" if schedule == "exponential" and "last_rate" in values else ""
    shape = f" ({schedule.replace('_', ' ')})" if schedule else ""
    length = f"{values['epochs']} epochs" if fit.get("epochs") else f"at most {values.get('max_steps', '?')} steps"
    optimizer = _NAMES.get(values.get("optimizer", ""), "AdamW")
    who = name.removesuffix(".fit").replace("_", " ")
    rate = f"learning rate {values['learning_rate']}{end}{shape}"
    return f"Training of {who}: {optimizer}, {rate}, batches of {values['batch_size']}, {length}."


def _headlines(results: StudyResults) -> list[Headline]:
    """Give the numbers of the summary: recall of single models, errors of votes."""
    found = []
    for name in _HEADLINES:
        rows = "models" if name == "macro_recall" else "votes"
        pairs = []
        for group in Group:
            own = of_group(results, group)
            intervals = own.intervals_of_models if rows == "models" else own.intervals_of_votes
            pairs.append((metric(name, intervals[name].value), between(name, intervals[name])))
        found.append(Headline(METRIC_WORDS[name], rows, pairs[0], pairs[1]))
    return found


def equivalence_sentence(results: StudyResults) -> str:
    """Say what the two one-sided tests found."""
    found = results.assessment.equivalence
    difference = metric("macro_recall", found.difference.value, signed=True)
    inside = between("macro_recall", found.difference, signed=True)
    numbers = (
        f"external less internal macro recall {difference} points, 90 % interval {inside}, margin "
        f"{100 * found.margin:g} points, P = {p_value(found.p_value)}"
    ).replace("P = <", "P <")
    if found.equivalent:
        return f"The groups are equivalent within the margin ({numbers})."
    return f"Equivalence is not shown; that alone shows no difference either ({numbers})."


def biology_sentence() -> str:
    """Say what the paper's accuracy would require, and what published errors mean, were they normal."""
    printed = PRINTED_MEANS[Measure.RECALL][1]
    most, least = (100 * closed_form_exact_year(sd_of_absolute_error(mae)) for mae in PUBLISHED_MAE_YEARS)
    low, high = PUBLISHED_MAE_YEARS
    return (
        f"An exact-year accuracy of {100 * printed:.1f} % needs a total error of age with an SD of "
        f"{sd_for_exact_year(printed):.2f} years or less. Published mean absolute errors of knee MRI ({low:.2f} to "
        f"{high:.2f} years) mean {least:.0f} to {most:.0f} %, if the errors are normal."
    )


def _members(results: StudyResults, group: Group) -> str:
    """Say who is in a group."""
    own = results.predictions.of_group(group)
    sexes = ", ".join(f"{own.take(own.sex == sex.value).subjects} {sex.value}" for sex in Sex)
    ages = own.chronological_age_years
    span = f"aged {ages.min():.1f} to {ages.max():.1f} years"
    sites = ", ".join(own.sites())
    return f"{own.subjects} subjects with predictions ({sexes}), imaged at {sites}, {span}; {len(own):,} predictions"


def _picture(text: FigureText, figures: Path) -> Picture:
    """Put a figure into the page."""
    png = (figures / f"{text.name}.png").read_bytes()
    return Picture(text, f"data:image/png;base64,{b64encode(png).decode('ascii')}")


@cache
def _template() -> Template:
    """Load the page; every value is escaped and a name that does not exist fails."""
    environment = Environment(
        loader=PackageLoader("kneeage.study", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("study.html.j2")
