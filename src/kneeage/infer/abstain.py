"""When no age is given: typed reasons, not errors.

Every limit comes from the bundle; where it keeps none, that question is not asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict

from kneeage.core.anatomy import DISTAL_FEMUR, PLATE_SITES, PROXIMAL_TIBIA, Plane, PlateSite, Sex, Side
from kneeage.core.manifest import AgeStage, BundleManifest, QualityLimits
from kneeage.core.result import NoveltyReport, PlateReport, Reason, ReasonCode
from kneeage.core.volume import Volume
from kneeage.infer.fibula import FibulaEvidence
from kneeage.infer.growth_limits import missed_limit
from kneeage.infer.quality import LOWEST_MEASURES, METAL_MEASURES, MOTION_MEASURES, ImageQuality
from kneeage.infer.region import SitesSeen
from kneeage.io.weighting import sequence_name
from kneeage.prepare.orient import canonical_orientation

# A limit is kept when it is missed by no more than this share of it: headers are rounded. Source: ours.
_ROUNDING = 0.005
_QUALITY_REASONS = (
    (ReasonCode.MOTION, MOTION_MEASURES, "the slices show ghosts or ripples as motion makes them"),
    (ReasonCode.METAL, METAL_MEASURES, "part of the knee gives no signal, as near metal"),
    (ReasonCode.BLURRED, LOWEST_MEASURES, "edges are blurred"),
)
_WORDS = {"openness": "openness", "thickness_mm": "thickness in mm", "stage": "stages of Dedouit"}


def plane_reason(found: Plane | None, manifest: BundleManifest) -> Reason | None:
    """Compare the plane of the slices with the bundle's; None where they fit.

    Args:
        found: Plane of the slices; None for a near-isotropic volume, which can be cut in any plane.
        manifest: The bundle's manifest.
    """
    if found in (None, manifest.plane):
        return None
    return Reason(
        code=ReasonCode.WRONG_PLANE,
        message=f"the slices are {found.value}; the bundle {manifest.name} answers on {manifest.plane.value} slices",
    )


def sequence_reason(weighting: str | None, fat_suppressed: bool | None, manifest: BundleManifest) -> Reason | None:
    """Compare the sequence with those of the bundle; None where it fits, is not known, or is not judged.

    Args:
        weighting: ``"T1"``, ``"PD"`` or ``"T2"``; None: not known.
        fat_suppressed: Whether the signal of fat is suppressed; None: not known, and taken as no.
        manifest: The bundle's manifest; ``"PD fat-suppressed"`` among its sequences allows what ``"PD"`` does not.
    """
    if not manifest.sequences or (weighting is None and not fat_suppressed):
        return None
    found = sequence_name(weighting, fat_suppressed=fat_suppressed)
    if found in manifest.sequences:
        return None
    covered = ", ".join(manifest.sequences)
    return Reason(
        code=ReasonCode.WRONG_SEQUENCE,
        message=f"the series is {found}; the bundle {manifest.name} was trained on {covered} only",
    )


def grid_reasons(volume: Volume, manifest: BundleManifest) -> list[Reason]:
    """Compare field of view, pixels and distance of slices with those that the bundle is valid for.

    Args:
        volume: The series, in the bundle's plane.
        manifest: The bundle's manifest.
    """
    grid = volume.reoriented(canonical_orientation(manifest.plane))
    columns_mm, rows_mm, slices_mm = grid.spacing
    judged = (
        ("width", grid.shape[0] * columns_mm, manifest.field_of_view_mm),
        ("height", grid.shape[1] * rows_mm, manifest.field_of_view_mm),
        ("pixel", max(columns_mm, rows_mm), manifest.pixel_mm),
        ("distance of slices", slices_mm, manifest.slice_spacing_mm),
    )
    return [
        Reason(
            code=ReasonCode.FIELD_OF_VIEW,
            message=f"the {name} is {found:.3g} mm; the bundle {manifest.name} answers on {limits[0]:.3g} to "
            f"{limits[1]:.3g} mm",
        )
        for name, found, limits in judged
        if limits is not None and not limits[0] * (1 - _ROUNDING) <= found <= limits[1] * (1 + _ROUNDING)
    ]


def sex_reason(sex: Sex | None, manifest: BundleManifest) -> Reason | None:
    """Compare the subject's sex with those of the bundle; None where the bundle covers it.

    A sex that is not given is covered only by a bundle for both: to answer for one sex unasked would hide a choice.
    """
    covered = " and ".join(each.value for each in manifest.sexes)
    if sex is None and len(manifest.sexes) < len(Sex):
        said = "the sex was not given"
    elif sex is not None and sex not in manifest.sexes:
        said = f"the subject is {sex.value}"
    else:
        return None
    return Reason(
        code=ReasonCode.SEX_NOT_COVERED,
        message=f"{said}; the bundle {manifest.name} was trained on {covered} subjects only",
    )


def side_reason(stated: Side, seen: FibulaEvidence) -> Reason | None:
    """Compare the side that the header states with that of the fibula; None unless the fibula clearly contradicts."""
    if stated is Side.UNKNOWN or seen.side in (Side.UNKNOWN, stated) or not seen.strong:
        return None
    return Reason(
        code=ReasonCode.SIDE_CONTRADICTION,
        message=f"the header says {stated.value}, but the fibula lies {abs(seen.offset_mm):.0f} mm to the side where a "
        f"{seen.side.value} knee has it",
    )


def site_reasons(sites: SitesSeen, stage: AgeStage) -> list[Reason]:
    """List what is missing of bones, sites and slices; empty where an age can be estimated."""
    missing = [reason for site in PLATE_SITES if (reason := _missing(sites, site)) is not None]
    common = len(sites.common_slices)
    if missing or common >= stage.min_slices:
        return missing
    return [
        Reason(
            code=ReasonCode.TOO_FEW_SLICES,
            message=f"{common} slices show both growth plates' sites; at least {stage.min_slices} are needed",
        )
    ]


def quality_reasons(quality: ImageQuality, manifest: BundleManifest) -> list[Reason]:
    """List what is wrong with the images: motion, metal, blur."""
    if manifest.quality_limits is None:
        return []
    found = [
        (code, words, _missed_limit(asdict(quality), names, manifest.quality_limits))
        for code, names, words in _QUALITY_REASONS
    ]
    return [Reason(code=code, message=f"{words} ({missed})") for code, words, missed in found if missed is not None]


def novelty_reason(novelty: NoveltyReport | None, manifest: BundleManifest) -> Reason | None:
    """Say when the image lies further from the training images than images like them do."""
    if novelty is None or manifest.novelty is None or novelty.distance <= novelty.limit:
        return None
    return Reason(
        code=ReasonCode.UNLIKE_TRAINING,
        message=f"the image is unlike those that the bundle {manifest.name} was trained on (distance "
        f"{novelty.distance:.3g}; {manifest.novelty.percentile:g} % of such images lie within {novelty.limit:.3g})",
    )


def plates_reason(plates: Mapping[str, PlateReport], manifest: BundleManifest) -> Reason | None:
    """Say when the two plates of a knee differ by more than growth allows."""
    missed = missed_limit(plates[DISTAL_FEMUR.name], plates[PROXIMAL_TIBIA.name], manifest.growth_limits)
    if missed is None:
        return None
    limit, difference = missed
    return Reason(
        code=ReasonCode.PLATES_DISAGREE,
        message=f"femoral and tibial plate differ in {_WORDS[limit.measure]} by {difference:+.3g}; "
        f"{100 * limit.quantile:g} % of reference knees lie between {limit.low:+.3g} and {limit.high:+.3g}",
    )


def reading_reasons(
    quality: ImageQuality | None,
    plates: Mapping[str, PlateReport],
    novelty: NoveltyReport | None,
    manifest: BundleManifest,
) -> list[Reason]:
    """List what the slices around the plates speak against an estimate.

    Args:
        quality: Quality of these slices; None: not judged, since the bundle's limits hold for other contrasts.
        plates: Both plates, corrected and graded, by site.
        novelty: How far the slices lie from the training images; None: not judged.
        manifest: The bundle's manifest.
    """
    single = (plates_reason(plates, manifest), novelty_reason(novelty, manifest))
    seen = [] if quality is None else quality_reasons(quality, manifest)
    return [*seen, *(reason for reason in single if reason is not None)]


def _missed_limit(measured: Mapping[str, float], names: Iterable[str], limits: QualityLimits) -> str | None:
    """Say which limit is missed, and by what; None where all are kept."""
    for name in names:
        high, low = limits.highest.get(name), limits.lowest.get(name)
        if high is not None and measured[name] > high:
            side, bound = "below", high
        elif low is not None and measured[name] < low:
            side, bound = "above", low
        else:
            continue
        said = f"{name.replace('_', ' ')} {measured[name]:.3g}"
        return f"{said}; {limits.percentile:g} % of clean images stay {side} {bound:.3g}"
    return None


def _missing(sites: SitesSeen, site: PlateSite) -> Reason | None:
    """Say what is missing of one plate: the bone, or its site."""
    seen, name = sites.of(site), site.name.replace("_", " ")
    if not seen.bone_seen:
        return Reason(code=ReasonCode.BONE_NOT_SEEN, message=f"the {name} was not seen")
    if not seen.found:
        return Reason(
            code=ReasonCode.PLATE_SITE_NOT_SEEN,
            message=f"the {name} was seen, but not the site of its growth plate, open or closed",
        )
    return None
