"""The individual soft tissue of one knee.

Source: all ranges are ``assumed``, wide enough for subjects of 8 to 25 years from thin to obese.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from kneeage.phantom.anatomy import strand_tables as tables
from kneeage.phantom.anatomy import strands
from kneeage.phantom.anatomy.bones import Field
from kneeage.phantom.anatomy.tissue import Tissue

_MUSCULAR = {**tables.MUSCLES, **tables.CALF}.keys()


@dataclass(frozen=True, eq=False)
class SoftTissue:
    """The individual soft tissue of one knee, lengths in reference mm.

    Args:
        fat: Thickness of the subcutaneous fat on the medial side of the knee.
        fat_in_front: Thickness in front of the knee relative to ``fat``; ``fat_lateral`` likewise.
        fat_lateral: Thickness on the lateral side relative to ``fat``.
        girth: Factor on the width of the leg inside its fascia.
        bulk: Factor on the radii of the muscles.
        gap: Half the width of the fat planes between muscles.
        planes: What these planes show: fat, or fascia alone.
        patella: Shift of the patella to lateral, anterior and superior, which its tendons follow.
        moved: Lateral shift, anterior shift, shift along the course and factor on the radii, of each of
            :data:`kneeage.phantom.anatomy.strand_tables.STRANDS`, shape (structures, 4).
        band: Half the thickness of iliotibial band and retinacula.
        capsule: Thickness of the capsule and synovium on the bones.
        synovium: Thickness of the synovium around the cruciate ligaments.
        origin: Reach of the dark origin of the gastrocnemius above and behind the posterior condyles.
        tendinous: Mean thickness of its tendinous layer on the medial and on the lateral condyle; beyond it is muscle.
        cover: How far up the cartilage reaches behind the condyles, relative to their roundness.
        sheath: Thickness of the fat about the popliteal vessels.
        recess: Half the thickness of the suprapatellar recess; negative when collapsed.
        effusion: Thickness of fluid beside and in front of the femur.
        hoffa: Factor on the size of Hoffa's fat pad.
        septa: Half the thickness of the strands within fat, relative to their spacing.
        meniscus: Inner edge of the menisci, as a share of the compartment's radius.
        phases: Phases of the strands within fat in radians, shape (6,).
    """

    fat: float
    fat_in_front: float
    fat_lateral: float
    girth: float
    bulk: float
    gap: float
    planes: Tissue
    patella: tuple[float, float, float]
    moved: Field
    band: float
    capsule: float
    synovium: float
    origin: float
    tendinous: tuple[float, float]
    cover: float
    sheath: float
    recess: float
    effusion: float
    hoffa: float
    septa: float
    meniscus: float
    phases: Field

    @staticmethod
    def draw(rng: np.random.Generator, patella: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> SoftTissue:
        """Draw the soft tissue of one knee.

        Args:
            rng: Source of randomness.
            patella: Shift of the patella to lateral, anterior and superior (see ``BoneShape``).
        """
        fat = float(np.clip(np.exp(rng.normal(np.log(8.0), 0.65)), 2.0, 38.0))
        return SoftTissue(
            fat=fat,
            fat_in_front=rng.uniform(0.2, 0.5),
            fat_lateral=rng.uniform(0.4, 0.85),
            girth=rng.normal(1.0, 0.035),
            bulk=rng.normal(1.02, 0.06),
            gap=rng.uniform(0.15, 0.7) + 0.02 * fat,
            planes=Tissue.DEEP_FAT if rng.random() < 0.7 else Tissue.FASCIA,
            patella=patella,
            moved=_draw_moves(rng),
            band=rng.uniform(0.5, 1.3),
            capsule=rng.uniform(0.6, 2.0),
            synovium=rng.uniform(0.5, 3.5),
            origin=rng.uniform(1.5, 8.0),
            tendinous=(rng.uniform(0.3, 3.2), rng.uniform(0.3, 3.2)),
            cover=rng.uniform(0.8, 1.8),
            sheath=rng.uniform(0.3, 3.5),
            recess=rng.uniform(-0.5, 0.6),
            effusion=max(0.0, rng.normal(-1.5, 2.5)),
            hoffa=rng.normal(1.0, 0.08),
            septa=rng.uniform(0.03, 0.13),
            meniscus=rng.uniform(0.5, 0.68),
            phases=rng.uniform(0, 2 * np.pi, 6).astype(np.float32),
        )

    @cached_property
    def sections(self) -> dict[str, Field]:
        """Sections of the long structures along their course, by name."""
        return {name: self._tabulated(name, own) for name, own in zip(tables.STRANDS, self.moved, strict=True)}

    def _tabulated(self, name: str, own: Field) -> Field:
        """Sections of one structure along its course."""
        shifts: list[Field | float] = [float(shift) for shift in own[:3]]
        if name in tables.FRONT:
            shifts = [shift + along * strands.near_patella() for shift, along in zip(shifts, self.patella, strict=True)]
        size = float(own[3]) * (self.bulk if name in _MUSCULAR else 1.0)
        return strands.tabulated(tables.STRANDS[name], shifts, size)


def _draw_moves(rng: np.random.Generator) -> Field:
    """Draw shifts and sizes of all long structures, shape (structures, 4)."""
    spread = [(1.8, 1.8, 5.0, 0.06) if name in _MUSCULAR else (0.8, 0.6, 2.0, 0.1) for name in tables.STRANDS]
    drawn = rng.normal(0, spread)
    drawn[:, 3] += 1
    return np.asarray(drawn, dtype=np.float32)
