"""The tables of the report: every number of a result with its label, written in one language."""

from __future__ import annotations

from dataclasses import dataclass
from unicodedata import east_asian_width

from kneeage.core.anatomy import PLATE_SITES
from kneeage.core.manifest import BundleManifest
from kneeage.core.result import (
    Interval,
    MinimumAge,
    PlateReport,
    PriorReport,
    ReasonCode,
    Result,
    SeriesReport,
    ThresholdReport,
)
from kneeage.decide.prior import table_sha256
from kneeage.report.evidence import ratio_ages, ratio_text
from kneeage.report.summary import age_range, is_conformal, is_virtual, outward
from kneeage.report.words import Words

# Widest label and value that share a line with others, in Latin characters. Source: ours, two columns on A4.
_NARROW = 50
# Rows of a prior that are printed; more are named by their hash. Source: ours, two lines on A4.
_FEW_PRIOR_ROWS = 12
# Reasons that say nothing about the image itself.
_NOT_THE_IMAGE = {ReasonCode.SEX_NOT_COVERED}


@dataclass(frozen=True)
class Row:
    """One line of a table of facts; ``code`` marks an identifier, which is set in a fixed pitch."""

    label: str
    value: str
    note: str = ""
    code: bool = False

    @property
    def is_narrow(self) -> bool:
        """Whether two such rows fit beside each other."""
        return not (self.note or self.code) and _columns(self.label) + _columns(self.value) <= _NARROW


@dataclass(frozen=True)
class ThresholdRow:
    """One line of the table of age limits."""

    age: str
    probability: str
    ratio: str
    ratio_ages: str
    decision: str
    reason: str


def fact_lines(rows: list[Row]) -> list[list[Row]]:
    """Put neighbouring short rows beside each other, two on a line."""
    lines: list[list[Row]] = []
    for row in rows:
        if lines and len(lines[-1]) == 1 and lines[-1][0].is_narrow and row.is_narrow:
            lines[-1].append(row)
        else:
            lines.append([row])
    return lines


def age_rows(result: Result, say: Words) -> list[Row]:
    """Give the most probable age, its intervals, the minimum age, and which of these the summary names."""
    age = result.estimated_age_years
    note = say("age.closed_note") if _are_closed(result) else ""
    rows = [Row(say("age.most_probable"), say("value.not_given") if age is None else say.years(age), note)]
    rows += [_interval_row(interval, say) for interval in result.interval_years]
    rows.append(_minimum_row(result.minimum_age_years, say))
    named = result.summary_quantity
    return rows if named is None else [*rows, Row(say("age.named"), say(f"quantity.{named.value}"))]


def threshold_rows(result: Result, say: Words) -> list[ThresholdRow]:
    """Give the statement about every age limit."""
    return [_threshold_row(threshold, result.prior, say) for threshold in result.thresholds]


def common_reason(result: Result, say: Words) -> str:
    """Give the reason that every decision shares, so that it is printed once; empty where they differ."""
    reasons = {threshold.decision_reason for threshold in result.thresholds}
    return say.phrase(reasons.pop()) if len(reasons) == 1 else ""


def plate_table(result: Result, say: Words) -> list[list[str]]:
    """Give the table of growth plates: a line of headings, then a line per plate; empty where none was sought."""
    reports = [(site.name, result.plates[site.name]) for site in PLATE_SITES if site.name in result.plates]
    lines = [[say(f"plate.{name}"), *_plate_cells(report, say)] for name, report in reports]
    return [_plate_headings(say), *lines] if lines else []


def stage_definitions(result: Result, say: Words) -> list[str]:
    """Define every stage that a plate was given, each once."""
    found = [result.plates[site.name].stages for site in PLATE_SITES if site.name in result.plates]
    defined = [
        *(_definition("dedouit", f"stage.dedouit.{one.dedouit}", say) for one in found),
        *(_definition("schmeling", f"stage.schmeling.{one.schmeling_kellinghaus}", say) for one in found),
    ]
    return [words for words in dict.fromkeys(defined) if words]


def subject_rows(result: Result, say: Words) -> list[Row]:
    """Give what the user said about the question and the subject."""
    subject = result.subject
    claimed = subject.claimed_age_years
    return [
        Row(say("subject.question"), subject.question or say("value.not_given")),
        Row(say("subject.legal_basis"), subject.legal_basis or say("value.not_given")),
        Row(say("subject.consent"), subject.consent or say("value.not_given")),
        Row(say("subject.examiner"), subject.examiner or say("value.not_given")),
        Row(say("subject.claimed_age"), say("value.not_given") if claimed is None else _plain_years(claimed, say)),
        Row(say("subject.sex"), say("value.not_given") if subject.sex is None else say(f"sex.{subject.sex.value}")),
    ]


def series_rows(result: Result, say: Words) -> list[Row]:
    """Give what image was read; empty when none was."""
    series = result.series
    if series is None:
        return []
    return [
        Row(say("series.identity"), series.pixel_sha256, code=True),
        Row(say("series.description"), series.description or say("value.not_given")),
        Row(say("series.plane"), say(f"plane.{series.plane.value}")),
        Row(say("series.weighting"), series.weighting or say("value.unknown")),
        Row(say("series.fat"), _yes_no(series.fat_suppressed, say)),
        Row(say("series.side"), _side(series, say)),
        Row(say("series.matrix"), " × ".join(str(n) for n in series.shape)),
        Row(say("series.spacing"), _spacing(series, say)),
        Row(say("series.scanner"), _scanner(series, say)),
        Row(say("series.origin"), say("series.origin_virtual" if series.virtual else "series.origin_real")),
        Row(say("series.uid"), series.series_uid or say("value.not_given"), code=True),
        Row(say("series.study_uid"), series.study_uid or say("value.not_given"), code=True),
        Row(say("series.reasons"), _phrases(series.rank_reasons, say)),
    ]


def quality_rows(result: Result, say: Words) -> list[Row]:
    """Give what the image allows; empty when no image was read."""
    quality = result.quality
    if quality is None:
        return []
    return [
        Row(say("quality.verdict"), _verdict(result, say)),
        Row(say("quality.slices"), str(quality.slices)),
        Row(say("quality.femur"), str(quality.slices_over_femoral_site)),
        Row(say("quality.tibia"), str(quality.slices_over_tibial_site)),
        Row(say("quality.fibula"), say(f"side.{quality.side_from_fibula.value}")),
        Row(say("quality.motion"), _part(quality.motion, say, 0)),
        Row(say("quality.sharpness"), _figure(quality.sharpness, say)),
        Row(say("quality.metal"), _part(quality.metal_share, say)),
        Row(say("quality.notes"), _phrases(quality.notes, say) or say("value.none")),
    ]


def class_rows(result: Result, say: Words) -> list[tuple[str, str]]:
    """Give the age classes with their probabilities."""
    return [(_class_name(name), say.probability(share)) for name, share in result.class_probabilities.items()]


def prior_rows(result: Result, say: Words) -> list[Row]:
    """Give the prior that the shown posterior rests on; empty where there is none."""
    prior = result.prior
    if prior is None:
        return []
    allowed = say("unit.years_range", low=f"{prior.low_years:g}", high=f"{prior.high_years:g}")
    rows = [Row(say("prior.name"), say.phrase(prior.name)), Row(say("prior.range"), allowed)]
    return rows if prior.is_flat else [*rows, _prior_table(prior, say)]


def model_rows(result: Result, manifest: BundleManifest | None, say: Words) -> list[Row]:
    """Give the bundle and the software that answered."""
    rows: list[Row] = []
    if (bundle := result.bundle) is not None:
        population = say("model.population_virtual") if is_virtual(result) else bundle.population
        rows.append(Row(say("model.bundle"), f"{bundle.name} {bundle.version}"))
        rows.append(Row(say("model.population"), population))
        rows.append(Row(say("model.sha256"), bundle.sha256, code=True))
        if all(threshold.errors is None for threshold in result.thresholds):
            rows.append(Row(say("model.errors"), say(_remark_on_errors(result, manifest))))
    if (software := result.software) is not None:
        rows.append(Row(say("model.kneeage"), software.kneeage))
        rows.append(Row(say("model.python"), software.python))
        rows.append(Row(say("model.onnxruntime"), software.onnxruntime))
        rows.append(Row(say("model.created"), say.date(software.result_created_utc)))
    return [*rows, Row(say("model.schema"), result.schema_version)]


def _remark_on_errors(result: Result, manifest: BundleManifest | None) -> str:
    """Say where error rates stand that are not in the report: nowhere, where nobody counted any."""
    if manifest is not None and all(rule.errors is None for rule in manifest.policy.rules):
        return "model.errors_uncounted"
    return "model.errors_virtual" if is_virtual(result) else "model.errors_elsewhere"


def _prior_table(prior: PriorReport, say: Words) -> Row:
    """Give the table of ages and weights that the prior was made of; a long one by its hash."""
    label = say("prior.rows", count=len(prior.rows))
    if len(prior.rows) > _FEW_PRIOR_ROWS:
        digest = table_sha256((row.age_years, row.weight) for row in prior.rows)
        return Row(label, digest, say("prior.rows_hash"), code=True)
    told = (say("prior.row", age=f"{row.age_years:g}", weight=f"{row.weight:g}") for row in prior.rows)
    return Row(label, say("format.semicolon").join(told))


def _class_name(name: str) -> str:
    """Write an age class with the signs that people use, such as ``"≥ 19"``."""
    return name.replace(">=", "≥ ").replace("<", "< ")


def _columns(text: str) -> int:
    """Count the Latin characters that a text is as wide as."""
    return sum(2 if east_asian_width(sign) in "WF" else 1 for sign in text)


def _interval_row(interval: Interval, say: Words) -> Row:
    """Give an interval with how it was made."""
    key = "age.interval_conformal" if is_conformal(interval) else "age.interval"
    return Row(
        say(key, level=say.level(interval.level)),
        age_range(interval, say),
        say("age.method", method=say.phrase(interval.method)),
    )


def _are_closed(result: Result) -> bool:
    """Say whether both plates were seen closed: then the look of their scars alone tells of the age."""
    return bool(result.plates) and all(plate.openness == 0 for plate in result.plates.values())


def _minimum_row(minimum: MinimumAge | None, say: Words) -> Row:
    """Give the minimum age with its definition, or that there is none."""
    if minimum is None:
        return Row(say("age.minimum"), say("age.minimum_missing"))
    definition, quantile = say.phrase(minimum.definition), _quantile(minimum, say)
    note = say("age.minimum_note", definition=definition, n=minimum.n, quantile=quantile)
    return Row(say("age.minimum"), say.years(outward(minimum.value_years, -1)), note)


def _quantile(minimum: MinimumAge, say: Words) -> str:
    """Give the age below which a small share of the reference subjects lie, or say that it is not given."""
    share = say.percent(minimum.quantile)
    if minimum.quantile_years is None:
        return say("age.minimum_quantile_missing", share=share)
    return say("age.minimum_quantile", share=share, age=say.years(outward(minimum.quantile_years, -1)))


def _verdict(result: Result, say: Words) -> str:
    """Say whether the image carries an answer, or what speaks against it."""
    against = [say(f"reason.{one.code.value}") for one in result.reasons if one.code not in _NOT_THE_IMAGE]
    if not against:
        return say("quality.sufficient")
    return say("quality.insufficient", reasons=say("format.semicolon").join(dict.fromkeys(against)))


def _figure(value: float | None, say: Words) -> str:
    """Write a measure of quality."""
    return say("value.not_measured") if value is None else say.number(value, 2)


def _part(share: float | None, say: Words, digits: int = 1) -> str:
    """Write a share, of the knee or of a limit."""
    return say("value.not_measured") if share is None else say.percent(share, digits)


def _threshold_row(threshold: ThresholdReport, prior: PriorReport | None, say: Words) -> ThresholdRow:
    """Word the statement about one age limit."""
    age = f"{threshold.age_years:g}"
    return ThresholdRow(
        age=say("unit.limit", number=age),
        probability=_probability(threshold, prior, say),
        ratio=ratio_text(threshold.likelihood_ratio, say),
        ratio_ages=ratio_ages(threshold.likelihood_ratio, say),
        decision=say(f"decision.{threshold.decision.value}", age=age),
        reason=say.phrase(threshold.decision_reason),
    )


def _probability(threshold: ThresholdReport, prior: PriorReport | None, say: Words) -> str:
    """Write the probability of an age limit; outside the ages of the prior the image has no say in it."""
    if prior is not None and not prior.low_years < threshold.age_years < prior.high_years:
        return say("thresholds.by_prior")
    return say.probability(threshold.probability_at_least)


def _plate_headings(say: Words) -> list[str]:
    """Give the headings of the table of growth plates."""
    keys = ("plate", "found", "dedouit", "schmeling", "openness", "thickness", "area", "volume")
    return [say(f"plates.{key}") for key in keys]


def _plate_cells(report: PlateReport, say: Words) -> list[str]:
    """Write the measurements of one plate, in the order of the headings."""
    stages = (report.stages.dedouit, report.stages.schmeling_kellinghaus)
    return [
        _yes_no(report.found, say),
        *(stage or say("plates.not_graded") for stage in stages),
        _openness(report.openness, say),
        _measured(report.thickness_mm, "unit.mm", 1, say),
        _measured(report.area_mm2, "unit.mm2", 0, say),
        _measured(report.volume_mm3, "unit.mm3", 0, say),
    ]


def _definition(system: str, key: str, say: Words) -> str:
    """Define a stage; empty for one that was not graded, or that is not one of the system's."""
    if key not in say.texts:
        return ""
    stage = key.rpartition(".")[2]
    return say("stage.definition", system=say(f"system.{system}"), stage=stage, words=say(key))


def _openness(openness: float | None, say: Words) -> str:
    """Write the share of the site that is still open."""
    if openness is None:
        return "–"
    share = say.percent(openness)
    return share if openness > 0 else say("format.aside", text=share, note=say("plates.closed"))


def _measured(value: float | None, unit: str, digits: int, say: Words) -> str:
    """Write a measurement with its unit, or a dash."""
    return "–" if value is None else say(unit, number=say.number(value, digits))


def _yes_no(value: bool | None, say: Words) -> str:
    """Write yes, no or not known."""
    return say("value.unknown") if value is None else say("value.yes" if value else "value.no")


def _plain_years(age_years: float, say: Words) -> str:
    """Write an age as the user gave it."""
    return say("unit.years", number=f"{age_years:g}")


def _side(series: SeriesReport, say: Words) -> str:
    """Write the side and where it was read."""
    return say("series.side_value", side=say(f"side.{series.side.value}"), source=say.phrase(series.side_source))


def _spacing(series: SeriesReport, say: Words) -> str:
    """Write the spacing between columns, rows and slices."""
    return say("unit.mm", number=" × ".join(say.number(spacing, 2) for spacing in series.spacing_mm))


def _scanner(series: SeriesReport, say: Words) -> str:
    """Write manufacturer and field strength, as far as known."""
    tesla = series.field_strength_tesla
    parts = [series.manufacturer, None if tesla is None else say("unit.tesla", number=f"{tesla:g}")]
    return say("format.comma").join(part for part in parts if part) or say("value.unknown")


def _phrases(sentences: list[str], say: Words) -> str:
    """Write sentences of other rooms one after the other."""
    return say("format.semicolon").join(say.phrase(sentence) for sentence in sentences)
