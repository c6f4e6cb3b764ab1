"""When no age is given: typed reasons, not errors."""

from __future__ import annotations

from kneeage.core.anatomy import PLATE_SITES, Plane, PlateSite, Sex
from kneeage.core.manifest import AgeStage, BundleManifest
from kneeage.core.result import Reason, ReasonCode
from kneeage.infer.region import SitesSeen


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
