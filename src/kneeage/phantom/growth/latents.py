"""The latents of growth: all that an image may know of a subject's chronological age and sex."""

from __future__ import annotations

from dataclasses import dataclass

# A remnant fainter than this share of marrow signal is not labelled a scar: nobody could see it (``assumed``).
VISIBLE_SCAR = 0.12


@dataclass(frozen=True)
class PlateLatents:
    """State of one growth plate.

    Args:
        thickness_mm: Mean thickness of the open part, in mm.
        unevenness: Relative amplitude of the thickness map, about 0 to 0.5.
        bridged: Share of the plate's extent that has closed, 0 to 1.
        bridging_posterior_mm: How far behind the plate's centre bridging begins, in reference mm.
        bridging_lateral_mm: How far to the lateral side of the plate's centre bridging begins, in reference mm.
        patchiness: Raggedness of the closing front, 0 to 1.
        undulation_mm: Amplitude of the fine undulation, in mm.
        border: Darkness of the plate's borders, 0 to 1 (1: no signal).
        scar: Strength of the remnant where the plate has closed, 0 (invisible) to 1.
    """

    thickness_mm: float
    unevenness: float
    bridged: float
    bridging_posterior_mm: float
    bridging_lateral_mm: float
    patchiness: float
    undulation_mm: float
    border: float
    scar: float


@dataclass(frozen=True)
class KneeLatents:
    """State of one knee.

    Args:
        femur: Plate of the distal femur.
        tibia: Plate of the proximal tibia.
        fibula: Plate of the proximal fibula.
        tuberosity: Plate of the tibial tuberosity.
        bone_half_width_mm: Half the width of the distal femur, in mm.
        epiphyseal_cartilage_mm: Thickness of unossified and articular cartilage together, in mm.
        epiphyseal_roundness: Shape of the epiphyses, 0 (adult) to 1 (child).
        red_marrow: Share of red marrow in the metaphysis, 0 to 0.6.
        red_islands: Amount of red-marrow islands, 0 to 1.
        trabecular_density: Relative density of the trabeculae, about 1.
    """

    femur: PlateLatents
    tibia: PlateLatents
    fibula: PlateLatents
    tuberosity: PlateLatents
    bone_half_width_mm: float
    epiphyseal_cartilage_mm: float
    epiphyseal_roundness: float
    red_marrow: float
    red_islands: float
    trabecular_density: float
