"""The model card and the datasheet of a virtual bundle, written from its manifest."""

from __future__ import annotations

from importlib.resources import files

from kneeage.core.manifest import BundleManifest, ThresholdRule
from kneeage.core.result import ErrorRate

_FACT_WORDS = {
    "sex": "the sex",
    "height_known": "height (may be missing)",
    "weight_known": "weight (may be missing)",
    "sequence_t1": "the sequence (may be missing)",
    "femur_openness": "openness and thickness of both plates",
}


def model_card(manifest: BundleManifest) -> str:
    """Write the model card of a virtual bundle."""
    calibration, stage = manifest.calibration, manifest.age
    return _filled(
        "model_card.md",
        manifest,
        networks=str(1 + len(stage.files)),
        age_model="An age model" if len(stage.files) == 1 else f"An ensemble of {len(stage.files)} age models",
        max_slices=stage.max_slices,
        facts=", ".join(word for name, word in _FACT_WORDS.items() if name in stage.fact_names),
        bins=len(manifest.age_edges_years) - 1,
        plane=manifest.plane.value,
        field_of_view=_field_of_view(manifest),
        sexes=" and ".join(sex.value for sex in manifest.sexes),
        rows="\n".join(f"| {name.replace('_', ' ')} | {value:g} |" for name, value in manifest.held_out.items()),
        limit=manifest.policy.limit,
        window=manifest.policy.window_years,
        policy="\n".join(_policy_row(rule) for rule in manifest.policy.rules) or "| none was tuned |" + " |" * 9,
        temperature=calibration.temperature,
        calibration_subjects=calibration.subjects,
        conformal=_conformal(manifest),
        groups=_groups(manifest),
        thickness="\n".join(_thickness_lines(manifest)) or "- none was fitted",
        references=_references(manifest),
        growth=_growth(manifest),
        quality=_quality(manifest),
        novelty=_novelty(manifest),
    )


def datasheet(manifest: BundleManifest) -> str:
    """Write the datasheet of a virtual bundle's cohorts."""
    return _filled("datasheet.md", manifest)


def _filled(template: str, manifest: BundleManifest, **values: object) -> str:
    """Fill a template with what both documents say, and with values of its own."""
    low, high = manifest.age_range_years
    text = files("kneeage.study").joinpath("templates", template).read_text(encoding="utf-8")
    return text.format(
        name=manifest.name,
        version=manifest.version,
        licence=manifest.licence,
        low=low,
        high=high,
        sequences=", ".join(manifest.sequences) or "not judged",
        training="\n".join(f"- {name.replace('_', ' ')}: {count}" for name, count in manifest.training.items()),
        made_with=", ".join(f"{name} {version}" for name, version in manifest.made_with.items()),
        split=manifest.training_split_sha256,
        **values,
    )


def _policy_row(rule: ThresholdRule) -> str:
    """Write a threshold rule as a row."""
    cells = [f"{rule.age_years:g}", "not given" if rule.sex is None else rule.sex.value]
    cells += [_limit(rule.at_least_probability), _limit(rule.below_probability)]
    if rule.errors is None:
        return _row([*cells, *["not counted"] * 6])
    errors = rule.errors
    rates = [errors.false_adult, errors.false_adult_all_minors, errors.false_minor, errors.undetermined]
    readers = [errors.reference_undetermined.get(letter) for letter in ("a", "b")]
    return _row([*cells, *map(_rate, rates), *("" if rate is None else _share(rate) for rate in readers)])


def _row(cells: list[str]) -> str:
    """Join cells to a row."""
    return f"| {' | '.join(cells)} |"


def _limit(probability: float | None) -> str:
    """Write a limit, or that there is none."""
    return "never" if probability is None else f"{probability:.5f}"


def _rate(rate: ErrorRate) -> str:
    """Write a rate with its Wilson interval and its counts."""
    return f"{_share(rate)} ({rate.low:.1%} to {rate.high:.1%}; {rate.errors} of {rate.subjects})"


def _share(rate: ErrorRate) -> str:
    """Write a share."""
    return "nobody" if rate.share is None else f"{rate.share:.1%}"


def _field_of_view(manifest: BundleManifest) -> str:
    """Say which widths it is valid for."""
    if manifest.field_of_view_mm is None:
        return "not judged"
    return "{:.0f} to {:.0f} mm".format(*manifest.field_of_view_mm)


def _conformal(manifest: BundleManifest) -> str:
    """Say on whom the intervals were fitted."""
    conformal = manifest.calibration.conformal
    if conformal is None or not conformal.groups:
        return "none were fitted; intervals are the model's own"
    return f"{conformal.subjects} subjects, {conformal.source}"


def _groups(manifest: BundleManifest) -> str:
    """List the calibration groups."""
    conformal = manifest.calibration.conformal
    rows = [
        _row(
            [
                " and ".join(sex.value for sex in group.sexes) + ("" if group.sex_given else ", not told"),
                "open upwards" if group.open_upwards else "ends",
                f"{group.low_years:g} to {group.high_years:g}",
                str(group.subjects) + (", merged" if group.merged else ""),
            ]
        )
        for group in (conformal.groups if conformal else ())
    ]
    return "\n".join(["| sex | prediction | predicted median, years | subjects |", "|---|---|---|---|", *rows])


def _thickness_lines(manifest: BundleManifest) -> list[str]:
    """List the thickness scales."""
    scales = manifest.calibration.thickness
    return [f"- {name}: {scale.slope:.2f} x drawn {scale.offset_mm:+.2f} mm" for name, scale in scales.items()]


def _references(manifest: BundleManifest) -> str:
    """Say who the reference subjects are."""
    found = manifest.references
    if found is None:
        return "no reference; no minimum age is given"
    subjects = sum(row.n for row in found.rows)
    return f"{subjects} {found.population} of {found.low_years:g} to {found.high_years:g} years, stages after Dedouit"


def _growth(manifest: BundleManifest) -> str:
    """Say how the limits of growth were set."""
    limits = manifest.growth_limits
    return f"{100 * limits[0].quantile:g} % of reference knees do" if limits else "growth allows (not judged)"


def _quality(manifest: BundleManifest) -> str:
    """Say how the limits of quality were set."""
    limits = manifest.quality_limits
    return "clean images show (not judged)" if limits is None else f"{limits.percentile:g} % of clean images show"


def _novelty(manifest: BundleManifest) -> str:
    """Say how the limit of novelty was set."""
    novelty = manifest.novelty
    return "images like them (not judged)" if novelty is None else f"{novelty.percentile:g} % of images like them"
