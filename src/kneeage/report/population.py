"""The people that a bundle speaks about, and whether the subject is one of them, point by point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kneeage.core.manifest import BundleManifest, body_mass_index
from kneeage.core.result import NoveltyReport, ReasonCode, Result, SeriesReport
from kneeage.report.summary import is_virtual
from kneeage.report.words import Words


@dataclass(frozen=True)
class PopulationRow:
    """One point: what the bundle covers, what was found here, and whether that is inside (None: it cannot be told).

    Age is the question, so that nothing that is said about it here enters the verdict on the whole.
    """

    point: str
    covered: str
    found: str
    inside: bool | None
    verdict: str
    is_asked: bool = False


def population_rows(result: Result, manifest: BundleManifest | None, say: Words) -> list[PopulationRow]:
    """Compare the subject and the image with what the bundle covers; empty where no bundle answered."""
    if result.bundle is None:
        return []
    rows = [_people(result, say)]
    if manifest is not None:
        rows += [_sex(result, manifest, say), _age(result, manifest, say), _body(result, manifest, say)]
        rows += [] if result.series is None else _image(result, result.series, manifest, say)
    return [*rows, _likeness(None if result.quality is None else result.quality.novelty, say)]


def population_verdict(rows: list[PopulationRow], say: Words) -> str:
    """Say in one sentence whether the subject is inside the reference population, by every point but its age."""
    judged = [row.inside for row in rows if not row.is_asked]
    if False in judged:
        return say("population.outside")
    return say("population.open" if None in judged else "population.within")


def _row(key: str, covered: str, found: str, inside: bool | None, say: Words) -> PopulationRow:
    """Word one point."""
    verdict = {True: "value.yes", False: "value.no", None: "population.unjudged"}[inside]
    return PopulationRow(say(f"population.{key}"), covered, found, inside, say(verdict))


def _people(result: Result, say: Words) -> PopulationRow:
    """Compare the people: a virtual bundle covers virtual knees alone; of others an image cannot tell."""
    series = result.series
    found = say("value.unknown" if series is None else _origin(series))
    if is_virtual(result):
        return _row("people", say("model.population_virtual"), found, series is not None and series.virtual, say)
    covered = "" if result.bundle is None else result.bundle.population
    return _row("people", covered, found, False if series is not None and series.virtual else None, say)


def _origin(series: SeriesReport) -> str:
    """Name where an image comes from."""
    return "series.origin_virtual" if series.virtual else "series.origin_real"


def _sex(result: Result, manifest: BundleManifest, say: Words) -> PopulationRow:
    """Compare the sex."""
    sex = result.subject.sex
    covered = say.listing([say(f"sex.{one.value}") for one in manifest.sexes])
    found = say("value.not_given") if sex is None else say(f"sex.{sex.value}")
    return _row("sex", covered, found, None if sex is None else sex in manifest.sexes, say)


def _age(result: Result, manifest: BundleManifest, say: Words) -> PopulationRow:
    """Say which ages are covered; a claimed age is beside them, and judges nothing."""
    (low, high), claimed = manifest.age_range_years, result.subject.claimed_age_years
    covered = say("unit.years_range", low=f"{low:g}", high=f"{high:g}")
    if claimed is None:
        found, verdict = say("value.not_given"), say("population.asked")
    else:
        found = say("population.claimed", age=say("unit.years", number=f"{claimed:g}"))
        verdict = say("population.asked" if low <= claimed <= high else "population.asked_outside")
    return PopulationRow(say("population.age"), covered, found, None, verdict, is_asked=True)


def _body(result: Result, manifest: BundleManifest, say: Words) -> PopulationRow:
    """Compare height, weight and body mass index with those of the training subjects."""
    ranges, height, weight = manifest.body_range, result.subject.height_cm, result.subject.weight_kg
    given = [height, weight, None if height is None or weight is None else body_mass_index(height, weight)]
    found = _measures([None if value is None else say.number(value) for value in given], say)
    if ranges is None:
        return _row("body", say("value.not_given"), found, None, say)
    ends = (ranges.height_cm, ranges.weight_kg, ranges.body_mass_index)
    covered = _measures(["–".join(say.number(end) for end in pair) for pair in ends], say)
    known = None if None in given else True
    return _row("body", covered, found, False if ranges.outside(height, weight) else known, say)


def _measures(numbers: Sequence[str | None], say: Words) -> str:
    """Write height, weight and body mass index with their units, as far as known."""
    keys = ("height", "weight", "body_mass_index")
    known = [
        say(f"population.{key}", number=number) for key, number in zip(keys, numbers, strict=True) if number is not None
    ]
    return say("format.comma").join(known) or say("value.not_given")


def _image(result: Result, series: SeriesReport, manifest: BundleManifest, say: Words) -> list[PopulationRow]:
    """Compare plane, sequence and grid."""
    planes = (manifest.plane, series.plane)
    covered, found = (say(f"plane.{plane.value}") for plane in planes)
    plane = _row("plane", covered, found, planes[0] == planes[1], say)
    return [plane, _sequence(series, manifest, say), _grid(result, series, manifest, say)]


def _sequence(series: SeriesReport, manifest: BundleManifest, say: Words) -> PopulationRow:
    """Compare the weighting; a bundle that names none does not judge it."""
    found, known = series.weighting or say("value.unknown"), bool(manifest.sequences and series.weighting)
    covered = say.listing(manifest.sequences) or say("value.not_given")
    return _row("sequence", covered, found, series.weighting in manifest.sequences if known else None, say)


def _grid(result: Result, series: SeriesReport, manifest: BundleManifest, say: Words) -> PopulationRow:
    """Compare field of view and resolution, which a bundle may not judge, and never does in another plane."""
    limits = (
        ("field_of_view", manifest.field_of_view_mm, 0),
        ("pixel", manifest.pixel_mm, 2),
        ("slice_spacing", manifest.slice_spacing_mm, 1),
    )
    ranges = [
        say(f"population.{name}", range="–".join(say.number(end, digits) for end in ends))
        for name, ends, digits in limits
        if ends is not None
    ]
    codes = {reason.code for reason in result.reasons}
    inside = ReasonCode.FIELD_OF_VIEW not in codes if ranges and ReasonCode.WRONG_PLANE not in codes else None
    covered = say("unit.mm", number=say("format.comma").join(ranges)) if ranges else say("value.not_given")
    return _row("grid", covered, _grid_found(series, say), inside, say)


def _grid_found(series: SeriesReport, say: Words) -> str:
    """Say how large the series is, and how fine, along its axes in the order of the file."""
    sizes = [number * step for number, step in zip(series.shape, series.spacing_mm, strict=True)]
    size, steps = (
        " × ".join(say.number(length, digits) for length in lengths)
        for lengths, digits in ((sizes, 0), (series.spacing_mm, 2))
    )
    return say("unit.mm", number=say("population.grid_found", size=size, steps=steps))


def _likeness(novelty: NoveltyReport | None, say: Words) -> PopulationRow:
    """Compare the image with the training images."""
    if novelty is None:
        return _row("likeness", say("value.not_given"), say("value.not_measured"), None, say)
    found = say(
        "population.distance", number=say.number(novelty.distance), percent=say.percent(novelty.percentile / 100)
    )
    covered = say("population.limit", number=say.number(novelty.limit))
    return _row("likeness", covered, found, novelty.distance <= novelty.limit, say)
