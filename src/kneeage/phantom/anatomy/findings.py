"""Incidental findings: what a real cohort holds at a low rate, each with a flag in the subject table.

Rates and sizes are ``assumed``; places are in reference mm of the bone concerned.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from kneeage.phantom.anatomy.bones import Field
from kneeage.phantom.anatomy.tissue import Tissue

Box = tuple[tuple[float, float], tuple[float, float], tuple[float, float]]

_FEMUR_BOX: Box = ((-30, 30), (-28, 15), (8, 60))
_TIBIA_BOX: Box = ((-30, 30), (-35, 0), (-45, -12))
# Weight-bearing surface of the condyles, where osteochondritis sits.
_CONDYLE_BOX: Box = ((-26, 26), (-24, -4), (1, 6))


class FindingKind(str, Enum):
    """Kinds of incidental finding."""

    BONE_ISLAND = "bone_island"
    CYST = "cyst"
    CONTUSION = "contusion"
    LESION = "lesion"
    PHYSEAL_BAR = "physeal_bar"
    OSTEOCHONDRITIS = "osteochondritis"
    METAL_VOID = "metal_void"


@dataclass(frozen=True)
class Finding:
    """One finding.

    Args:
        kind: What it is.
        bone: ``femur`` or ``tibia``.
        centre: Its middle in reference mm of that bone's frame.
        radius: Its size in reference mm.
    """

    kind: FindingKind
    bone: str
    centre: tuple[float, float, float]
    radius: float


# Share of knees that have it, and smallest and largest radius in reference mm.
_RATES: dict[FindingKind, tuple[float, float, float]] = {
    FindingKind.BONE_ISLAND: (0.02, 1.5, 4.0),
    FindingKind.CYST: (0.02, 1.5, 5.0),
    FindingKind.CONTUSION: (0.03, 6.0, 14.0),
    FindingKind.LESION: (0.03, 2.0, 8.0),
    FindingKind.PHYSEAL_BAR: (0.01, 2.0, 7.0),
    FindingKind.OSTEOCHONDRITIS: (0.01, 4.0, 9.0),
    FindingKind.METAL_VOID: (0.01, 4.0, 12.0),
}
_TISSUES = {
    FindingKind.BONE_ISLAND: Tissue.BONE_ISLAND,
    FindingKind.CYST: Tissue.CYST,
    FindingKind.CONTUSION: Tissue.OEDEMA,
    FindingKind.LESION: Tissue.LESION,
    FindingKind.OSTEOCHONDRITIS: Tissue.OEDEMA,
}
# Thickness of the dark rim about an osteochondritic fragment, in reference mm.
_RIM_MM = 1.2


def draw_findings(rng: np.random.Generator, often: float = 1.0) -> tuple[Finding, ...]:
    """Draw the findings of one knee.

    Args:
        rng: Source of chance.
        often: Factor on every rate.
    """
    return tuple(
        _draw(kind, (smallest, largest), rng)
        for kind, (rate, smallest, largest) in _RATES.items()
        if rng.random() < min(rate * often, 1.0)
    )


def finding_fields(
    findings: tuple[Finding, ...], femoral: tuple[Field, Field, Field], tibial: tuple[Field, Field, Field]
) -> dict[str, Field]:
    """Distance to the rim of each finding but bars, by position in the list, at points in both bones' frames."""
    return {
        f"finding_{position}": _distance(finding, femoral if finding.bone == "femur" else tibial)
        for position, finding in enumerate(findings)
        if finding.kind is not FindingKind.PHYSEAL_BAR
    }


def bar_distance(findings: tuple[Finding, ...], bone: str, x: Field, y: Field) -> Field | None:
    """Distance to the rim of the bone's physeal bar over its plate, in reference mm; None where there is none."""
    bars = [f for f in findings if f.kind is FindingKind.PHYSEAL_BAR and f.bone == bone]
    if not bars:
        return None
    bar = bars[0]
    return np.asarray(np.hypot(x - bar.centre[0], y - bar.centre[1]) - bar.radius, np.float32)


def paint_findings(
    tissue: NDArray[np.uint8],
    findings: tuple[Finding, ...],
    distances: dict[str, Field],
    bones: dict[str, NDArray[np.bool_]],
) -> None:
    """Paint the findings into the tissue, in place.

    Args:
        tissue: Tissue values to write into.
        findings: The findings.
        distances: What :func:`finding_fields` gave, at the same points.
        bones: Where the marrow of each bone is.
    """
    for position, finding in enumerate(findings):
        away = distances.get(f"finding_{position}")
        if away is not None:
            _paint(tissue, finding.kind, away < 0, away, bones[finding.bone])


def _paint(
    tissue: NDArray[np.uint8], kind: FindingKind, inside: NDArray[np.bool_], away: Field, bone: NDArray[np.bool_]
) -> None:
    """Paint one finding: metal wipes out everything about it, the rest stays inside the bone."""
    if kind is FindingKind.METAL_VOID:
        tissue[inside] = Tissue.METAL
        return
    tissue[inside & bone] = _TISSUES[kind]
    if kind is FindingKind.OSTEOCHONDRITIS:
        tissue[inside & bone & (away > -_RIM_MM)] = Tissue.CORTEX


def _draw(kind: FindingKind, sizes: tuple[float, float], rng: np.random.Generator) -> Finding:
    """Draw place and size of one finding."""
    bone = "femur" if kind is FindingKind.OSTEOCHONDRITIS or rng.random() < 0.5 else "tibia"
    box = _CONDYLE_BOX if kind is FindingKind.OSTEOCHONDRITIS else {"femur": _FEMUR_BOX, "tibia": _TIBIA_BOX}[bone]
    x, y, z = (float(rng.uniform(*side)) for side in box)
    return Finding(kind, bone, (x, y, z), float(rng.uniform(*sizes)))


def _distance(finding: Finding, place: tuple[Field, Field, Field]) -> Field:
    """Distance to a finding's rim, which is ragged by a fifth of its radius."""
    dx, dy, dz = (c - middle for c, middle in zip(place, finding.centre, strict=True))
    ragged = 0.2 * finding.radius * np.sin(dx / 2.9 + finding.centre[0]) * np.sin(dz / 2.3 + dy / 3.7)
    return np.asarray(np.sqrt(dx**2 + dy**2 + dz**2) - finding.radius + ragged, np.float32)
