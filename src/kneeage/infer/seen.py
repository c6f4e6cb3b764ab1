"""What was seen on one subject's images: sites, plates, side, quality, and the regions that the age network takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from kneeage.core.anatomy import PLATE_SITES, PlateSite
from kneeage.core.manifest import BundleManifest
from kneeage.core.result import NoveltyReport, PlateReport, QualityReport
from kneeage.infer.engine import FloatArray32
from kneeage.infer.fibula import FibulaEvidence, fibula_evidence
from kneeage.infer.morphometry import calibrated, measure_plate
from kneeage.infer.quality import ImageQuality, image_quality, motion_strength
from kneeage.infer.region import SitesSeen, age_regions, chosen_slices, find_sites, region_corner
from kneeage.infer.segment import Segmentation
from kneeage.infer.stages import staged
from kneeage.prepare.prepared import Prepared


@dataclass(frozen=True, eq=False)
class Regions:
    """What the age network takes of a subject.

    Args:
        stack: Float32 (S, 3, rows, columns).
        slices: Slices along the prepared K that they were cut from.
        corner: First row and column of them all on the prepared grid.
        quality: Quality of these slices.
    """

    stack: FloatArray32
    slices: tuple[int, ...]
    corner: tuple[int, int]
    quality: ImageQuality


@dataclass(frozen=True, eq=False)
class Seen:
    """What was seen of a segmented subject.

    Args:
        prepared: The prepared volume.
        segmentation: Its labels.
        sites: Where the plates' sites are.
        fibula: What the fibula says of the side.
        manifest: Manifest of the bundle that looks.
    """

    prepared: Prepared
    segmentation: Segmentation
    sites: SitesSeen
    fibula: FibulaEvidence
    manifest: BundleManifest

    @classmethod
    def of(cls, segmentation: Segmentation, prepared: Prepared, manifest: BundleManifest) -> Seen:
        """Look at the labels."""
        fibula = fibula_evidence(segmentation.source_labels)
        return cls(prepared, segmentation, find_sites(segmentation.labels), fibula, manifest)

    @cached_property
    def plates(self) -> dict[str, PlateReport]:
        """Both plates, corrected by what the bundle knows of its own drawing, with their stages; by site."""
        return {site.name: self._plate(site) for site in PLATE_SITES}

    @cached_property
    def drawn_plates(self) -> dict[str, PlateReport]:
        """Both plates as they were drawn, as the age network is told them; by site."""
        labels = self.segmentation.labels
        return {site.name: measure_plate(labels, site, self.sites.of(site)) for site in PLATE_SITES}

    def strayed_mm3(self, site: PlateSite) -> float:
        """Volume of open plate that is drawn although none is measured: 0 where some is."""
        if self.drawn_plates[site.name].openness:
            return 0.0
        labels = self.segmentation.labels
        voxels = np.count_nonzero(labels.array == site.open_plate)
        return float(voxels * np.prod(labels.spacing))

    def _plate(self, site: PlateSite) -> PlateReport:
        """Correct and grade one plate."""
        plate = calibrated(self.drawn_plates[site.name], self.manifest.calibration, site)
        return staged(plate, self.segmentation.labels, site, self.sites.of(site))

    def regions(self) -> Regions:
        """Cut what the age network takes; both sites must have been found."""
        image, stage = self.prepared.volume, self.manifest.age
        slices = chosen_slices(self.sites, stage.max_slices)
        stack = age_regions(image, self.segmentation.plate_probability, self.sites, stage)
        corner = region_corner(image, self.sites, stage)
        return Regions(stack, slices, corner, image_quality(image, stack, slices))

    def quality(
        self,
        measured: ImageQuality | None,
        novelty: NoveltyReport | None,
        notes: Sequence[str],
        *,
        covered: bool = True,
    ) -> QualityReport:
        """Say what the images allow.

        Args:
            measured: Quality of the slices that the age network takes; None where there are none.
            novelty: How far they lie from the training images; None: not judged.
            notes: What was noted when the series was read.
            covered: Whether the bundle's limits hold for the contrast of the series.
        """
        limits = self.manifest.quality_limits if covered else None
        return QualityReport(
            slices=self.prepared.volume.shape[2],
            slices_over_femoral_site=len(self.sites.distal_femur.slices),
            slices_over_tibial_site=len(self.sites.proximal_tibia.slices),
            side_from_fibula=self.fibula.side,
            motion=None if measured is None or limits is None else motion_strength(measured, limits),
            metal_share=None if measured is None else measured.void_share,
            sharpness=None if measured is None else measured.sharpness,
            novelty=novelty,
            notes=list(notes),
        )
