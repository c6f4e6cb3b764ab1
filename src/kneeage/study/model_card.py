"""The model card and the datasheet of a virtual bundle, written from its manifest."""

from __future__ import annotations

from importlib.resources import files

from kneeage.core.manifest import BodyRange, BundleManifest, ThresholdPolicy, ThresholdRule
from kneeage.core.result import ErrorRate
from kneeage.learn.virtual_bundle import GRID_MARGIN
from kneeage.study.reference_knees import CANDIDATES, PICTURE_MM

_FACT_WORDS = {
    "sex": "the sex",
    "height_known": "height (may be missing)",
    "weight_known": "weight (may be missing)",
    "sequence_t1": "the sequence (may be missing)",
    "femur_openness": "openness and thickness of both plates",
}

# Cohorts of every virtual bundle, and those of a tuned threshold rule.
_COHORTS = ("training and validation (choice of checkpoints)", "calibration")
_RULE_COHORTS = ("tuning of the threshold rule", "counting of its errors")


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
        field_of_view=_range_mm(manifest.field_of_view_mm, 0),
        pixel=_range_mm(manifest.pixel_mm, 2),
        slice_spacing=_range_mm(manifest.slice_spacing_mm, 1),
        body=_body(manifest.body_range),
        sexes=" and ".join(sex.value for sex in manifest.sexes),
        rows="\n".join(f"| {name.replace('_', ' ')} | {value:g} |" for name, value in manifest.held_out.items()),
        rule=_rule(manifest.policy),
        policy="\n".join(_policy_rows(manifest.policy)),
        temperature=calibration.temperature,
        calibration_subjects=calibration.subjects,
        conformal=_conformal(manifest),
        groups=_groups(manifest),
        thickness="\n".join(_thickness_lines(manifest)) or "- none was fitted",
        references=_references(manifest),
        growth=_growth(manifest),
        quality=_quality(manifest),
        novelty=_novelty(manifest),
        margin=GRID_MARGIN,
        knees=_reference_knees(manifest),
    )


def datasheet(manifest: BundleManifest) -> str:
    """Write the datasheet of a virtual bundle's cohorts."""
    is_tuned = bool(manifest.policy.rules)
    return _filled(
        "datasheet.md",
        manifest,
        subjects="\n".join(f"- {name}: {count}" for name, count in _subjects(manifest).items()),
        windows=" (cohorts about thresholds: uniform within windows of two years)" if is_tuned else "",
        cohorts=", ".join([*_COHORTS, *(_RULE_COHORTS if is_tuned else ()), "test"]),
    )


def _subjects(manifest: BundleManifest) -> dict[str, int]:
    """Count the subjects of each cohort; what else a bundle is made of, such as steps, is no subject."""
    made = {name.replace("_", " "): count for name, count in manifest.training.items() if "subjects" in name}
    tested = manifest.held_out.get("subjects")
    return made if tested is None else {**made, "test subjects": int(tested)}


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


def _rule(policy: ThresholdPolicy) -> str:
    """Say how the threshold rule came about."""
    if not policy.rules:
        return """\
No limit of this bundle was
tuned, and nobody's errors were counted: the two probabilities below are conventions, and every decision that rests on
them is called uncalibrated."""
    window = f"{policy.window_years:g}"
    return f"""\
The limits were tuned so
that the upper 95 % Wilson bound of either error stays under {policy.limit:.1%} among subjects of each sex up to
{window} years from the threshold. The errors were counted on other subjects. "Undetermined" is an answer: where
biology tells no more, most subjects get it; (a) and (b) are the undetermined shares of the best readers of virtual
knees under the same limit, who know all true latents, or those of the plates alone."""


def _policy_rows(policy: ThresholdPolicy) -> list[str]:
    """Write every threshold rule as a row, or the limits that stand in where none was tuned."""
    if policy.rules:
        return [_policy_row(rule) for rule in policy.rules]
    limits = [_limit(policy.at_least_probability), _limit(policy.below_probability)]
    return [_row(["none was tuned", "any", *limits, *["not counted"] * 6])]


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


def _range_mm(limits: tuple[float, float] | None, digits: int) -> str:
    """Say which lengths it is valid for."""
    if limits is None:
        return "not judged"
    low, high = limits
    return f"{low:.{digits}f} to {high:.{digits}f} mm"


def _body(bodies: BodyRange | None) -> str:
    """Say which heights and weights the training subjects had."""
    if bodies is None:
        return "not recorded; none is warned of"
    height, weight, index = (
        "{:.1f} to {:.1f}".format(*ends) for ends in (bodies.height_cm, bodies.weight_kg, bodies.body_mass_index)
    )
    return f"{height} cm, {weight} kg, body mass index {index} kg/m²; others are warned of, not refused"


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


def _reference_knees(manifest: BundleManifest) -> str:
    """Say what the pictures of typical knees show."""
    if manifest.reference_knees is None:
        return "The bundle carries none."
    return f"""\
The report shows the three of the subject's sex that are nearest to the most probable age. There is one for each sex and
completed year: a knee in the middle of that year, painted for its picture, from seeds that no cohort has. Of
{CANDIDATES} subjects whose growth is drawn it is the one without findings whose bridging, thickness and scar of both
plates are nearest to the medians. All are right knees, T1-weighted, hospital A, without artefacts: the slice that
shows most of both sites, {PICTURE_MM} x {PICTURE_MM} mm. They are there to look at; no number rests on them. Knees of
one age differ about as much as typical knees of neighbouring ages do, so that likeness to one of them proves no age."""
