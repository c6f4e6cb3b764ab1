"""What age networks say of the subjects of a virtual cohort, read as serving reads them.

Whom serving abstains from is left out and counted, by what was seen of the image: sites, plates, quality, novelty. Not
looked at are side, grid, plane and sequence, which are those of the bundle's own subjects.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kneeage.core.anatomy import PLATE_SITES, Sex
from kneeage.core.errors import InputRefusedError
from kneeage.core.manifest import BundleManifest, Calibration
from kneeage.core.result import PlateReport
from kneeage.infer.abstain import reading_reasons
from kneeage.infer.age import AgeFacts, AgeReading, age_inputs, age_outputs, read_age
from kneeage.infer.engine import Engine, Network
from kneeage.infer.morphometry import calibrated
from kneeage.infer.novelty import NoveltyScale
from kneeage.infer.quality import ImageQuality
from kneeage.infer.stages import skeletal_stages
from kneeage.learn.data import load_regions
from kneeage.learn.prepared_cohort import Tell
from kneeage.learn.progress import untold
from kneeage.learn.virtual_regions import Facts, read_facts, regions_file

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Told:
    """What the networks are told beside the image and the plates.

    Args:
        sex: The subject's sex.
        body: Its height and weight.
        sequence: The weighting of its series.
    """

    sex: bool = True
    body: bool = False
    sequence: bool = True

    def facts(self, known: Facts) -> AgeFacts:
        """Give what is told of a subject whose facts are known."""
        return AgeFacts(
            sex=Sex(known["sex"]) if self.sex else None,
            height_cm=known["height_cm"] if self.body else None,
            weight_kg=known["weight_kg"] if self.body else None,
            weighting=known["weighting"] if self.sequence else None,
            plates={name: PlateReport.model_validate(plate["found"]) for name, plate in known["plates"].items()},
        )


TOLD = Told()


@dataclass(frozen=True, eq=False)
class Judged:
    """What was said of subjects; those whom serving abstains from are not among them.

    Args:
        facts: What is known of each, in the order of their seeds.
        log_likelihoods: Of each age bin, shape (subjects, bins).
        features: Of the age networks, shape (subjects, D); None where they give none.
        abstained: How many subjects were left out.
    """

    facts: tuple[Facts, ...]
    log_likelihoods: FloatArray
    features: FloatArray | None
    abstained: int

    @property
    def ages_years(self) -> FloatArray:
        """Chronological ages, shape (subjects,)."""
        return np.array([known["chronological_age_years"] for known in self.facts], dtype=np.float64)

    @property
    def sexes(self) -> list[Sex]:
        """Sex of each subject."""
        return [Sex(known["sex"]) for known in self.facts]


def load_networks(folder: Path, manifest: BundleManifest, threads: int | None = None) -> list[Engine]:
    """Load the age networks of a bundle, or of a work folder that holds them.

    Args:
        folder: Where the files lie.
        manifest: Names them.
        threads: Of each network; all cores when None.
    """
    stage = manifest.age
    return [
        Engine(
            (folder / name).read_bytes(),
            name=name,
            inputs=age_inputs(stage),
            outputs=age_outputs(stage),
            threads=threads,
        )
        for name in stage.files
    ]


def judge(
    cohort: Path,
    networks: Sequence[Network],
    manifest: BundleManifest,
    told: Told = TOLD,
    tell: Tell = untold,
) -> Judged:
    """Let the networks judge every subject of a cohort.

    Args:
        cohort: Folder that ``kneeage.learn.virtual_regions`` wrote.
        networks: The age networks of a bundle.
        manifest: Its manifest.
        told: What they are told.
        tell: Told how many subjects are read, and how many there are.

    Raises:
        InputRefusedError: No subject of the cohort has regions, or the limits abstain from all.
    """
    everyone = read_facts(cohort)
    seen = [known for known in everyone if known["slices"]]
    if not seen:
        raise InputRefusedError(f"no .npz file of regions in {cohort}; the segmenter found no plates in any subject")
    scale = None if manifest.novelty is None else NoveltyScale(manifest.novelty)
    kept = []
    for done, (known, reading) in enumerate(_readings(cohort, seen, networks, manifest, told), 1):
        if not _is_abstained(known, reading, scale, manifest):
            kept.append((known, reading))
        tell(done, len(seen))
    if not kept:
        raise InputRefusedError(f"the bundle's limits abstain from all {len(seen)} subjects in {cohort}")
    features = [reading.features for _, reading in kept if reading.features is not None]
    return Judged(
        tuple(known for known, _ in kept),
        np.stack([reading.log_likelihood for _, reading in kept]),
        np.stack(features) if features else None,
        len(everyone) - len(kept),
    )


def _is_abstained(known: Facts, reading: AgeReading, scale: NoveltyScale | None, manifest: BundleManifest) -> bool:
    """Say whether serving would give no age."""
    novelty = None if scale is None or reading.features is None else scale.report(reading.features)
    quality, plates = ImageQuality(**known["quality"]), graded(known, manifest.calibration)
    return bool(reading_reasons(quality, plates, novelty, manifest))


def _readings(
    cohort: Path, seen: Iterable[Facts], networks: Sequence[Network], manifest: BundleManifest, told: Told
) -> Iterator[tuple[Facts, AgeReading]]:
    """Read subject after subject."""
    for known in seen:
        regions = load_regions(regions_file(cohort, known["seed"])).regions.astype(np.float32)
        yield known, read_age(networks, regions, told.facts(known), manifest)


def graded(known: Facts, calibration: Calibration) -> dict[str, PlateReport]:
    """Correct and grade both drawn plates of a subject as serving does, by site.

    Args:
        known: Facts of the subject.
        calibration: Of the bundle.
    """
    reports = {}
    for site in PLATE_SITES:
        plate = known["plates"][site.name]
        report = calibrated(PlateReport.model_validate(plate["found"]), calibration, site)
        if report.openness is not None:
            stages = skeletal_stages(report.openness, report.thickness_mm, plate["scar_share"])
            report = report.model_copy(update={"stages": stages})
        reports[site.name] = report
    return reports
