"""What a series must be to be chosen: what a bundle covers, or what knee age studies read where there is no bundle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kneeage.core.anatomy import Plane
from kneeage.core.manifest import BundleManifest
from kneeage.io.weighting import sequence_name


@dataclass(frozen=True)
class Wanted:
    """What makes a series suitable.

    Args:
        plane: Plane of the slices; None: coronal, or else sagittal.
        sequences: Weightings, such as ``"T1"`` or ``"PD fat-suppressed"``.
    """

    plane: Plane | None = None
    sequences: tuple[str, ...] = ("T1",)

    @classmethod
    def by(cls, manifest: BundleManifest) -> Wanted:
        """Say what a bundle covers; one that does not tell its sequences is held to T1.

        Args:
            manifest: The bundle's manifest.
        """
        return cls(manifest.plane, tuple(manifest.sequences) or cls.sequences)

    @property
    def weightings(self) -> tuple[str, ...]:
        """The weightings, with fat suppression or without; each once."""
        return tuple(dict.fromkeys(sequence.partition(" ")[0] for sequence in self.sequences))

    @property
    def words(self) -> str:
        """Say what is needed, such as ``"a coronal knee, PD- or T1-weighted, without fat suppression"``."""
        plane = "coronal or sagittal" if self.plane is None else self.plane.value
        knee = f"{'an' if self.plane is Plane.AXIAL else 'a'} {plane} knee"
        if self.sequences != self.weightings:
            return f"{knee}, {_listed([_weighted(sequence) for sequence in self.sequences])}"
        *first, last = self.weightings
        return f"{knee}, {_listed([*(f'{one}-' for one in first), f'{last}-weighted'])}, without fat suppression"

    def covers(self, weighting: str | None, *, fat_suppressed: bool | None) -> bool:
        """Say whether a sequence is among those that are wanted; an unknown weighting is not."""
        return sequence_name(weighting, fat_suppressed=fat_suppressed) in self.sequences


# Where there is no bundle. Source: knee age studies read T1 series, coronal ones most.
T1_KNEE = Wanted()


def _weighted(sequence: str) -> str:
    """Write ``"PD fat-suppressed"`` as ``"PD-weighted fat-suppressed"``."""
    weighting, space, suppression = sequence.partition(" ")
    return f"{weighting}-weighted{space}{suppression}"


def _listed(items: Sequence[str]) -> str:
    """Join items by commas and "or"."""
    *first, last = items
    return f"{', '.join(first)} or {last}" if first else last
