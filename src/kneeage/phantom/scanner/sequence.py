"""What a spin-echo sequence makes of the tissues of a knee.

Every tissue is water with its own relaxation times plus a share of fat. Signals are relative to yellow marrow imaged
without fat suppression = 1.

Sources of the constants (``m``: recalled, not read again):

- Gold 2004, AJR 183:343, doi 10.2214/ajr.183.2.1830343 (m): T1 and T2 of muscle, cartilage, synovial fluid, fat and
  fatty marrow at 1.5 and 3 T.
- Pai 2008, Magn Reson Imaging 26:1215, doi 10.1016/j.mri.2008.02.017: T2 of fat and marrow depends on the sequence (41
  to 160 ms) and grows with the echo train.
- ``assumed``: chosen so that T1 signals lie in the ranges measured on adolescent 3 T coronal T1 knees (relative to
  marrow: muscle 0.3-0.4, cartilage 0.36-0.6, cruciates about 0.5, cortex and collaterals 0.05-0.2) and on one adult
  knee, at TR 581 and TE 20 at 3 T, which was darker (muscle 0.21-0.24, cartilage 0.28). Plausible within a factor
  ``exp(+-2 spread)``.

Fat outside the bones has no such constant: under the skin it was 0.66 of marrow in that adult and up to 1.5 near the
coil in the adolescents, within that adult's knee 0.8 to 1.1, and relaxation times do not tell these apart. So its
signal is drawn, once for all fat of a knee: see ``to_marrow``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from kneeage.phantom.anatomy.bones import Field
from kneeage.phantom.anatomy.tissue import MARROW, Tissue

Range = tuple[float, float]


class Weighting(StrEnum):
    """Weighting of a spin echo."""

    T1 = "T1"
    PD = "PD"
    T2 = "T2"


# Shortest and longest TR and TE in ms, and echo train, of each weighting.
Times = Mapping[Weighting, tuple[Range, Range, tuple[int, int]]]


@dataclass(frozen=True)
class Sequence:
    """A spin echo (``echo_train_length`` 1) or fast spin echo.

    Args:
        weighting: T1, PD or T2.
        fat_suppressed: Whether fat is suppressed spectrally.
        echo_train_length: Echoes per excitation.
        repetition_time_ms: TR.
        echo_time_ms: Effective TE.
        field_strength_tesla: 1.5 to 3.
    """

    weighting: Weighting
    fat_suppressed: bool
    echo_train_length: int
    repetition_time_ms: float
    echo_time_ms: float
    field_strength_tesla: float


@dataclass(frozen=True)
class Material:
    """Constants of one material; pairs are at 1.5 T and at 3 T.

    Args:
        proton_density: Of the whole, relative to pure water.
        t1_ms: Longitudinal relaxation time of its water.
        t2_ms: Transverse relaxation time of its water.
        fat_share: Share of its protons that are fat's.
        transfer: Largest share of the water's signal lost to magnetisation transfer, in a long echo train.
        spread: Relative SD of the signal between subjects and scanners.
        to_marrow: Where given, the unsuppressed signal over that of yellow marrow is drawn from this range instead,
            uniformly in its logarithm.
        source: Where the relaxation times come from.
    """

    proton_density: float
    t1_ms: Range
    t2_ms: Range
    fat_share: float = 0.0
    transfer: float = 0.0
    spread: float = 0.1
    to_marrow: Range | None = None
    source: str = "assumed"


_GOLD = "Gold 2004 (m)"
_FIELDS_TESLA = (1.5, 3.0)
# Relaxation of the fat in every material. Source: Gold 2004 (m).
FAT_T1_MS = (288.0, 371.0)
FAT_T2_MS = (165.0, 133.0)
# Largest gain of fat in a long echo train (J-coupling undone) and the train that reaches 63 % of it. Source: direction
# from Pai 2008; both numbers assumed, plausible 0.1-0.4 and 3-10.
FAT_BRIGHTENING = 0.25
FAT_BRIGHTENING_TRAIN = 6.0
# Echo train that reaches half of a material's loss to magnetisation transfer. Source: assumed, plausible 3-12.
TRANSFER_TRAIN = 6.0
# Signal of fat that suppression leaves where it works: less than cartilage gives at the latest echo. Source: assumed.
FAT_LEFT: Range = (0.02, 0.12)
# Difference between tissues of one material in one knee, relative SD. Source: assumed.
_LOCAL_SPREAD = 0.03
# Signal of all fat outside the bones over that of yellow marrow, before the coil brightens what lies near it. Source:
# see the module.
FAT_TO_MARROW: Range = (0.58, 1.3)
# Yellow marrow's proton density is lowered by the trabeculae in it; likewise red marrow's.
YELLOW_MARROW = Material(0.88, (1000, 1200), (42, 38), fat_share=0.9, spread=0.0, source=f"fat: {_GOLD}; rest assumed")
RED_MARROW = Material(0.84, (1000, 1250), (50, 45), fat_share=0.4, transfer=0.2, spread=0.15)
PLATE_CARTILAGE = Material(0.92, (1050, 1230), (50, 45), transfer=0.15, spread=0.14)
PLATE_BORDER = Material(0.42, (800, 950), (14, 12), fat_share=0.06, spread=0.35)
PLATE_SCAR = Material(0.42, (800, 950), (14, 12), fat_share=0.12, spread=0.35)
_FAT = Material(
    0.72, (1000, 1200), (45, 40), fat_share=0.94, to_marrow=FAT_TO_MARROW, source=f"fat: {_GOLD}; rest assumed"
)
_MUSCLE = Material(0.8, (1130, 1420), (35, 32), transfer=0.25, fat_share=0.02, spread=0.16, source=_GOLD)
_CARTILAGE = Material(0.9, (1060, 1240), (42, 37), transfer=0.2, spread=0.13, source=_GOLD)
_FLUID = Material(1.0, (2850, 3620), (1210, 767), spread=0.15, source=_GOLD)
_CORTEX = Material(0.12, (700, 850), (12, 10), fat_share=0.35, spread=0.4)
_LIGAMENT = Material(0.6, (700, 850), (10, 9), fat_share=0.05, spread=0.35)

MATERIALS: dict[Tissue, Material] = {
    Tissue.AIR: Material(0.0, (1000, 1000), (1, 1), spread=0.0, source="no protons"),
    Tissue.SKIN: Material(0.7, (850, 1000), (30, 26), fat_share=0.2, spread=0.25),
    Tissue.SUBCUTANEOUS_FAT: _FAT,
    Tissue.DEEP_FAT: _FAT,
    Tissue.HOFFA_FAT: _FAT,
    Tissue.MUSCLE: _MUSCLE,
    Tissue.CALF_MUSCLE: _MUSCLE,
    Tissue.FASCIA: Material(0.6, (750, 900), (14, 12), fat_share=0.1, spread=0.4),
    Tissue.LIGAMENT: _LIGAMENT,
    Tissue.TENDON: _LIGAMENT,
    Tissue.CRUCIATE: Material(0.75, (850, 1000), (24, 22), fat_share=0.2, spread=0.3),
    # Moving blood gives little signal: it leaves the slice between excitation and echo.
    Tissue.VESSEL: Material(0.25, (1400, 1800), (100, 80), spread=0.5),
    Tissue.FLUID: _FLUID,
    Tissue.CAPSULE: Material(0.65, (800, 950), (18, 16), fat_share=0.12, spread=0.3),
    Tissue.CARTILAGE: _CARTILAGE,
    # Source: T1 600 and T2 15 ms read in PMC7016502, figure 3 (field strength not read); the shorter T2 is assumed, as
    # menisci are darker than 15 ms would make them.
    Tissue.MENISCUS: Material(0.6, (560, 600), (11, 10), spread=0.3, source="T1: PMC7016502; T2 assumed"),
    Tissue.EPIPHYSEAL_CARTILAGE: Material(0.95, (1100, 1300), (50, 45), transfer=0.15, spread=0.13),
    Tissue.CORTEX: _CORTEX,
    Tissue.BONE_ISLAND: _CORTEX,
    **dict.fromkeys(MARROW, YELLOW_MARROW),
    Tissue.LESION: Material(0.6, (1000, 1200), (35, 30), fat_share=0.15, spread=0.35),
    Tissue.NERVE: Material(0.8, (950, 1150), (55, 50), fat_share=0.3, spread=0.15),
    Tissue.CYST: Material(0.97, (2300, 2900), (500, 400), spread=0.15),
    Tissue.OEDEMA: Material(0.8, (1300, 1600), (95, 80), fat_share=0.45, spread=0.15),
    Tissue.METAL: Material(0.0, (1000, 1000), (1, 1), spread=0.0, source="no protons"),
}

# Of all knee protocols. Source: T1 as in published forensic T1 TSE knees
# (TR 450-750, TE 8-20); PD and T2 assumed from clinical practice.
TIMES: Times = {
    Weighting.T1: ((450, 750), (8, 20), (1, 5)),
    Weighting.PD: ((2000, 4000), (15, 45), (4, 10)),
    Weighting.T2: ((3000, 5000), (60, 100), (9, 18)),
}


@dataclass(frozen=True, eq=False)
class Signals:
    """What a sequence makes of each tissue, relative to yellow marrow without fat suppression = 1.

    Args:
        tissue: Signal of each :class:`~kneeage.phantom.anatomy.tissue.Tissue`, shape (tissues,).
        fat: The part of it that fat gives (it moves by the chemical shift), shape (tissues,).
        red_marrow: Signal of pure red marrow; ``red_marrow_fat`` is fat's part of it.
        red_marrow_fat: Fat's part of the signal of red marrow.
        cartilage: Signal of a plate's cartilage; likewise ``border`` and ``scar``.
        border: Signal of a plate's border.
        scar: Signal of a closed plate's remnant.
        fat_left: Share of fat's signal that suppression left; 1 without suppression.
    """

    tissue: Field
    fat: Field
    red_marrow: float
    red_marrow_fat: float
    cartilage: float
    border: float
    scar: float
    fat_left: float = 1.0


def draw_sequence(
    weighting: Weighting,
    fat_suppressed: bool,
    field_strength_tesla: float,
    rng: np.random.Generator,
    *,
    times: Times = TIMES,
) -> Sequence:
    """Draw a sequence of a usual knee protocol.

    Args:
        weighting: T1, PD or T2.
        fat_suppressed: Whether fat is suppressed.
        field_strength_tesla: 1.5 to 3.
        rng: Source of TR, TE and echo train.
        times: What they are drawn from; by default what knee protocols anywhere have.
    """
    repetition, echo, train = times[weighting]
    return Sequence(
        weighting=weighting,
        fat_suppressed=fat_suppressed,
        echo_train_length=int(rng.integers(train[0], train[1] + 1)),
        repetition_time_ms=round(rng.uniform(*repetition)),
        echo_time_ms=round(rng.uniform(*echo), 1),
        field_strength_tesla=field_strength_tesla,
    )


def spin_echo(proton_density: float, t1_ms: float, t2_ms: float, sequence: Sequence) -> float:
    """Signal of a spin echo: PD (1 - exp(-TR/T1)) exp(-TE/T2).

    Args:
        proton_density: Relative to pure water.
        t1_ms: Longitudinal relaxation time.
        t2_ms: Transverse relaxation time.
        sequence: TR and effective TE.
    """
    recovered = 1 - np.exp(-sequence.repetition_time_ms / t1_ms)
    return float(proton_density * recovered * np.exp(-sequence.echo_time_ms / t2_ms))


def water_and_fat(material: Material, sequence: Sequence) -> tuple[float, float]:
    """Signals of a material's water and of its fat before any suppression, relative to pure water's magnetisation.

    Args:
        material: The material.
        sequence: The sequence.
    """
    train = sequence.echo_train_length
    kept = 1 - material.transfer * (train - 1) / (train - 1 + TRANSFER_TRAIN)
    brighter = 1 + FAT_BRIGHTENING * (1 - np.exp(-(train - 1) / FAT_BRIGHTENING_TRAIN))
    density, tesla = material.proton_density, sequence.field_strength_tesla
    water = spin_echo(
        density * (1 - material.fat_share), _at(tesla, material.t1_ms), _at(tesla, material.t2_ms), sequence
    )
    fat = spin_echo(density * material.fat_share, _at(tesla, FAT_T1_MS), _at(tesla, FAT_T2_MS), sequence)
    return kept * water, float(brighter * fat)


def signals(sequence: Sequence, rng: np.random.Generator) -> Signals:
    """Signals of a knee with the variation between subjects and scanners.

    Args:
        sequence: The sequence.
        rng: Source of the variation and of how well fat suppression works.
    """
    left = rng.uniform(*FAT_LEFT) if sequence.fat_suppressed else 1.0
    drawn = _Draw(sequence, left, rng)
    parts = np.array([drawn.local(tissue) for tissue in Tissue], np.float32)
    red = drawn.parts(RED_MARROW)
    return Signals(
        tissue=parts.sum(axis=1),
        fat=parts[:, 1].copy(),
        red_marrow=sum(red),
        red_marrow_fat=red[1],
        cartilage=sum(drawn.parts(PLATE_CARTILAGE)),
        border=sum(drawn.parts(PLATE_BORDER)),
        scar=sum(drawn.parts(PLATE_SCAR)),
        fat_left=left,
    )


def random_signals(rng: np.random.Generator) -> Signals:
    """Arbitrary contrasts (domain randomisation).

    Kept from reality: air is dark, cortex mostly so, the dark fibrous tissues often, fat and marrow mostly alike, and
    an open plate is always apart from marrow, yellow and red.

    Args:
        rng: Source of the contrasts.
    """
    marrow = rng.uniform(0.4, 1.1)
    level = rng.uniform(0.04, 1.15, len(Tissue))
    level[list(MARROW)] = marrow
    level[[Tissue.AIR, Tissue.METAL]] = rng.uniform(0, 0.04, 2)
    if rng.random() < 0.75:
        level[list(_FATS)] = marrow * rng.uniform(*FAT_TO_MARROW)
    if rng.random() < 0.6:
        level[list(_FIBROUS)] = rng.uniform(0.02, 0.35, len(_FIBROUS)) * marrow
    level[Tissue.CORTEX] = marrow * (rng.uniform(0.02, 0.3) if rng.random() < 0.85 else rng.uniform(0.3, 0.6))
    level[Tissue.CALF_MUSCLE] = level[Tissue.MUSCLE] * rng.uniform(0.9, 1.1)
    level *= np.exp(rng.normal(0, _LOCAL_SPREAD, len(Tissue)))
    level[list(_METAPHYSES)] *= rng.uniform(0.85, 1.05)
    return _random_plates(level.astype(np.float32), marrow, rng)


_FATS = (Tissue.SUBCUTANEOUS_FAT, Tissue.DEEP_FAT, Tissue.HOFFA_FAT)
_FIBROUS = (Tissue.LIGAMENT, Tissue.TENDON, Tissue.MENISCUS, Tissue.FASCIA, Tissue.CAPSULE, Tissue.BONE_ISLAND)
_METAPHYSES = (Tissue.FEMUR_METAPHYSIS, Tissue.TIBIA_METAPHYSIS)


def _random_plates(level: Field, marrow: float, rng: np.random.Generator) -> Signals:
    """Complete random tissue signals with red marrow and plates: dark, or bright as with fat suppression."""
    dark = rng.random() < 0.68
    red = marrow * (rng.uniform(0.5, 0.95) if dark else rng.uniform(0.9, 1.3))
    cartilage = min(red, marrow) * rng.uniform(0.1, 0.75) if dark else max(red, marrow) * rng.uniform(1.3, 2.2)
    fat = np.zeros_like(level)
    # Where fat is suppressed, water is what the marrow shows.
    fatty = [*MARROW, *_FATS] if dark else list(_FATS)
    fat[fatty] = level[fatty]
    return Signals(
        tissue=level,
        fat=fat,
        red_marrow=red,
        red_marrow_fat=0.5 * red if dark else 0.0,
        cartilage=cartilage,
        border=marrow * rng.uniform(0.03, 0.5),
        scar=marrow * rng.uniform(0.08, 0.55),
    )


class _Draw:
    """One knee's materials: every material is varied once, and its tissues a little apart."""

    def __init__(self, sequence: Sequence, fat_left: float, rng: np.random.Generator) -> None:
        self._sequence, self._fat_left, self._rng = sequence, fat_left, rng
        self._reference = sum(water_and_fat(YELLOW_MARROW, sequence))
        self._drawn: dict[Material, tuple[float, float]] = {}
        self._marrow = _local_factor(rng)

    def parts(self, material: Material) -> tuple[float, float]:
        """Water and fat of a material; the same each time."""
        if material not in self._drawn:
            water, fat = water_and_fat(material, self._sequence)
            if material.to_marrow is None:
                factor = np.exp(self._rng.normal(0, material.spread)) / self._reference
            else:
                factor = np.exp(self._rng.uniform(*np.log(material.to_marrow))) / (water + fat)
            self._drawn[material] = float(water * factor), float(fat * factor * self._fat_left)
        return self._drawn[material]

    def local(self, tissue: Tissue) -> tuple[float, float]:
        """Water and fat of a tissue; all yellow marrow of a knee is alike, so that no step lies where a plate was."""
        factor = self._marrow if tissue in MARROW else _local_factor(self._rng)
        water, fat = self.parts(MATERIALS[tissue])
        return water * factor, fat * factor


def _local_factor(rng: np.random.Generator) -> float:
    """Factor on the signal of one tissue of a material."""
    return float(np.exp(rng.normal(0, _LOCAL_SPREAD)))


def _at(tesla: float, pair: Range) -> float:
    """A constant at a field strength, between its values at 1.5 and 3 T."""
    return float(np.interp(tesla, _FIELDS_TESLA, pair))
