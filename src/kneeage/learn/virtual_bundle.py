"""The networks of the bundle that ships, from seeds alone: virtual slices, segmenter, regions, age models.

Every step leaves its product in the work folder; a step whose product is there is not done again, and one that was
broken off goes on, subject by subject or from its last checkpoint (only a pool of slices begins anew). What comes after
the networks (calibration, policy, references, card) is ``kneeage.study.virtual_bundle``.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import lightning
import numpy as np
import torch
from pydantic import ConfigDict, Field

from kneeage import __version__
from kneeage.core.anatomy import Label, Plane, Sex
from kneeage.core.manifest import VIRTUAL_POPULATION, AgeStage, BodyRange, BundleManifest, body_mass_index
from kneeage.decide.question import DEFAULT_THRESHOLDS_YEARS
from kneeage.io.lock import only_run
from kneeage.io.output import whole_file
from kneeage.learn.age_model import train_age_model
from kneeage.learn.data import load_regions, region_files
from kneeage.learn.export import export_age_model, export_segmenter
from kneeage.learn.fact_input import fact_names
from kneeage.learn.folds import deal_folds
from kneeage.learn.packing import age_shares
from kneeage.learn.presets import preset
from kneeage.learn.progress import Counting, uncounted
from kneeage.learn.segmenter import train_segmenter
from kneeage.learn.settings import AgeModelSettings, Count, FitSettings, SegmenterSettings
from kneeage.learn.stages import SEGMENTER_FILE, age_files, age_stage, segment_stage
from kneeage.learn.virtual_people import MIXED, Person, boundary_people, uniform_people
from kneeage.learn.virtual_regions import Facts, RegionJob, make_regions, read_facts, require_nobody_else
from kneeage.phantom.cohort.pool import PoolSettings, SlicePool, paint_pool
from kneeage.phantom.cohort.subject import FORENSIC_AGES_YEARS
from kneeage.prepare.recipe import DEFAULT

BUNDLE_NAME, BUNDLE_VERSION = "virtual-knee", "0.5.0"
_LOCK_FILE = "run.lock"
# First seed of each cohort, far enough apart never to meet: cohorts about thresholds take 100,000 seeds for each group.
_FIRST_SEEDS = {
    "training": 21_000_000,
    "validation": 22_000_000,
    "calibration": 23_000_000,
    "tuning": 24_000_000,
    "counting": 26_000_000,
    "test": 28_000_000,
}
# Cohorts that the networks, and what is fitted after them, come from; and those that the threshold rule comes from.
NETWORK_COHORTS = ("training", "validation", "calibration", "test")
RULE_COHORTS = ("tuning", "counting", "test")
# Windows of two years on both sides of every threshold.
WINDOWS_YEARS = tuple(
    pairwise(float(age) for age in np.arange(min(DEFAULT_THRESHOLDS_YEARS) - 2, max(DEFAULT_THRESHOLDS_YEARS) + 3, 2))
)
# What of a grid a bundle is judged valid for, by the names of the facts and of the manifest.
_GRID = ("field_of_view_mm", "pixel_mm", "slice_spacing_mm")
# Factor by which the grids that a bundle is valid for reach beyond those of its training subjects, at both ends.
# Source: ours. With the hospitals of `kneeage.phantom.scanner.protocol` (120-200, 0.19-0.6 and 2.9-4.8 mm) 1.17 is the
# least that lets in pixels of 0.7 mm and slices 2.5 mm apart, and 1.19 the largest that keeps out every one of their
# series whose header doubles or halves its width or the distance of its slices.
GRID_MARGIN = 1.18


def _segmenter_settings() -> SegmenterSettings:
    """Set the segmenter of the shipped bundle."""
    fit = FitSettings(batch_size=12, learning_rate=5e-3, max_steps=5000, steps_per_epoch=250, workers=1)
    return SegmenterSettings(fit=fit)


def _age_settings() -> AgeModelSettings:
    """Set the age model of the shipped bundle."""
    settings = preset("forensic").age_model
    return replace(settings, fit=replace(settings.fit, max_steps=4000, steps_per_epoch=250, workers=1))


@dataclass(frozen=True)
class VirtualBundleSettings:
    """How large everything is. The defaults are those of the shipped bundle; docs/decision.md says why.

    Args:
        pool_subjects: Subjects painted for the segmenter.
        pool_validation_subjects: Further subjects that choose its checkpoint.
        training_subjects: Subjects the age model learns from; as in all cohorts, most series are T1, some PD or T2.
        validation_subjects: Subjects that choose its checkpoint, where it is no ensemble.
        calibration_subjects: Subjects that temperature, thickness and intervals are fitted on.
        tuning_per_group: Subjects of each sex and window of two years that the threshold rule is tuned on.
        counting_per_group: The same, that its errors are counted on.
        error_limit: What the upper 95 % Wilson bound of either error of the threshold rule stays under.
        test_subjects: Subjects that nothing was fitted on, whole series.
        segmenter: Settings of the segmenter's training.
        age_model: Settings of the age model's training.
        ensemble: Age models; with two or more each leaves a fold of the training subjects out, which chooses its
            checkpoint.
        workers: Processes that paint and cut.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    pool_subjects: Count = 600
    pool_validation_subjects: Count = 40
    training_subjects: Count = 1600
    validation_subjects: Count = 120
    calibration_subjects: Count = 2000
    tuning_per_group: Count = 410
    counting_per_group: Count = 180
    error_limit: Annotated[float, Field(gt=0, lt=1)] = 0.01
    test_subjects: Count = 100
    segmenter: SegmenterSettings = field(default_factory=_segmenter_settings)
    age_model: AgeModelSettings = field(default_factory=_age_settings)
    ensemble: Count = 1
    workers: Count = 2

    def people(self) -> dict[str, list[Person]]:
        """List who is in each cohort."""
        seeds = _FIRST_SEEDS
        return {
            "training": uniform_people(seeds["training"], self.training_subjects, MIXED),
            "validation": uniform_people(seeds["validation"], self.validation_subjects, MIXED),
            "calibration": uniform_people(seeds["calibration"], self.calibration_subjects, MIXED),
            "tuning": boundary_people(seeds["tuning"], self.tuning_per_group, WINDOWS_YEARS, MIXED),
            "counting": boundary_people(seeds["counting"], self.counting_per_group, WINDOWS_YEARS, MIXED),
            "test": uniform_people(seeds["test"], self.test_subjects, MIXED),
        }

    def stage(self) -> AgeStage:
        """Give the stage of the age models."""
        return age_stage(age_files(self.ensemble), fact_names(self.age_model))


class Part(StrEnum):
    """The parts of the making of the networks, in their order."""

    SEGMENTER = "segmenter"
    COHORTS = "cohorts"
    NETWORKS = "networks"


def train_virtual_networks(
    work: Path,
    settings: VirtualBundleSettings,
    *,
    until: Part = Part.NETWORKS,
    counting: Counting = uncounted,
) -> dict[str, bytes]:
    """Make everything up to the networks, and the regions of the cohorts that they and their limits come from.

    Args:
        work: Folder of what is made on the way; a broken-off run goes on from it.
        settings: How large everything is.
        until: The last part that is made.
        counting: Shows how far the cohorts are.

    Returns:
        The networks that are made by file name, segmenter first.

    Raises:
        UsageError: The work folder holds runs with other settings, other subjects, or another segmenter's regions.
        OutputError: A folder cannot be written, or another run makes the same.
    """
    with only_one(work):
        networks = {
            SEGMENTER_FILE: exported(work / SEGMENTER_FILE, lambda: export_segmenter(_train_segmenter(work, settings)))
        }
        if until is not Part.SEGMENTER:
            make_cohorts(work, settings, region_job(work, settings), NETWORK_COHORTS, counting)
        if until is Part.NETWORKS:
            for place, name in enumerate(age_files(settings.ensemble)):
                networks[name] = exported(work / name, _age_maker(work, settings, place))
    return networks


def only_one(work: Path) -> AbstractContextManager[None]:
    """Keep other runs away from a work folder."""
    work.mkdir(parents=True, exist_ok=True)
    lock = work / _LOCK_FILE
    lock.touch()
    return only_run(lock, "the parts of a bundle")


def region_job(work: Path, settings: VirtualBundleSettings) -> RegionJob:
    """Say how regions are made with a work folder's segmenter."""
    return RegionJob(work / SEGMENTER_FILE, segment_stage(), settings.stage())


def _train_segmenter(work: Path, settings: VirtualBundleSettings) -> Path:
    """Paint the pools that are missing and train the segmenter on them."""
    pools = {
        "pool_train": PoolSettings(settings.pool_subjects, slices_per_subject=8, seed=1),
        "pool_validation": PoolSettings(settings.pool_validation_subjects, slices_per_subject=3, seed=777),
    }
    for name, pool in pools.items():
        if not (work / name).exists():
            paint_pool(work / name, pool, settings.workers)
    training, validation = (SlicePool(work / name) for name in pools)
    return train_segmenter(training, validation, settings.segmenter, work / "segmenter")


def make_cohorts(
    work: Path,
    settings: VirtualBundleSettings,
    job: RegionJob,
    names: Sequence[str],
    counting: Counting,
) -> None:
    """Make the regions of some cohorts; truth is measured where something is fitted or judged on it.

    Args:
        work: Folder of the cohorts.
        settings: How large they are.
        job: How regions are made.
        names: Which of ``settings.people()``.
        counting: Shows how far each is.

    Raises:
        UsageError: A folder holds other subjects, or regions that were made in another way.
        OutputError: A folder cannot be written.
    """
    people = settings.people()
    for name in names:
        own = replace(job, whole_series=name == "test", with_truth=name in ("calibration", "test"))
        require_nobody_else(work / name, people[name])
        with counting(f"Making the {name} cohort") as tell:
            make_regions(work / name, people[name], own, settings.workers, tell)


def _age_maker(work: Path, settings: VirtualBundleSettings, place: int) -> Callable[[], bytes]:
    """Give what trains and exports the age model with this number."""

    def make() -> bytes:
        """Train and export."""
        training, validation = _age_files(work, settings, place)
        return export_age_model(train_age_model(training, validation, settings.age_model, work / f"age_{place + 1}"))

    return make


def _age_files(work: Path, settings: VirtualBundleSettings, place: int) -> tuple[Sequence[Path], Sequence[Path]]:
    """Give the files that an age model learns from, and those that choose its checkpoint."""
    training = region_files(work / "training" / "regions")
    if settings.ensemble == 1:
        return training, region_files(work / "validation" / "regions")
    return deal_folds(training, settings.ensemble, settings.age_model.fit.seed)[place]


def exported(path: Path, export: Callable[[], bytes]) -> bytes:
    """Read an exported network, exporting it first if it is not there."""
    if not path.exists():
        made = export()
        with whole_file(path) as temporary:
            temporary.write_bytes(made)
    return path.read_bytes()


def virtual_manifest(work: Path, settings: VirtualBundleSettings) -> BundleManifest:
    """Describe a bundle of a work folder's networks, before anything is fitted.

    Args:
        work: Folder with all cohorts.
        settings: How large everything is.
    """
    people, edges = settings.people(), list(settings.age_model.age_edges_years)
    series = read_facts(work / "training")
    limits = grid_limits(series)
    return BundleManifest(
        name=BUNDLE_NAME,
        version=BUNDLE_VERSION,
        population=VIRTUAL_POPULATION,
        licence="Apache-2.0",
        plane=Plane.CORONAL,
        sexes=[Sex.FEMALE, Sex.MALE],
        age_range_years=FORENSIC_AGES_YEARS,
        age_edges_years=edges,
        training_prior=_training_shares(work / "training" / "regions", edges),
        labels={label.name.lower(): int(label) for label in Label},
        recipe=DEFAULT.model_dump(mode="json"),
        segment=segment_stage(),
        age=settings.stage(),
        sequences=sorted({known["weighting"] for known in series}),
        field_of_view_mm=limits["field_of_view_mm"],
        pixel_mm=limits["pixel_mm"],
        slice_spacing_mm=limits["slice_spacing_mm"],
        body_range=body_range(series),
        training_split_sha256=split_sha256(person.seed for person in [*people["training"], *people["validation"]]),
        training=_sizes(settings),
        made_with={
            "kneeage": __version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "lightning": lightning.__version__,
            "monai": version("monai"),
        },
    )


def grid_limits(series: Sequence[Facts]) -> dict[str, tuple[float, float]]:
    """Give the least and largest field of view, pixel and distance of slices that a bundle is valid for.

    Args:
        series: Facts of the training subjects.

    Returns:
        In mm, by key of the manifest: those of the subjects, widened.
    """
    found = {name: [float(known[name]) for known in series] for name in _GRID}
    return {name: (min(values) / GRID_MARGIN, max(values) * GRID_MARGIN) for name, values in found.items()}


def body_range(subjects: Sequence[Facts]) -> BodyRange:
    """Give the smallest and largest height, weight and body mass index of training subjects."""
    bodies = [(float(known["height_cm"]), float(known["weight_kg"])) for known in subjects]
    heights, weights = zip(*bodies, strict=True)
    indices = [body_mass_index(*body) for body in bodies]
    return BodyRange(
        height_cm=(min(heights), max(heights)),
        weight_kg=(min(weights), max(weights)),
        body_mass_index=(min(indices), max(indices)),
    )


def _sizes(settings: VirtualBundleSettings) -> dict[str, int]:
    """Say of how many subjects and steps a bundle is made."""
    return {
        "subjects_painted_for_the_segmenter": settings.pool_subjects,
        "segmenter_steps": settings.segmenter.fit.max_steps,
        "age_model_subjects": settings.training_subjects,
        "age_model_steps": settings.age_model.fit.max_steps,
        "age_models": settings.ensemble,
        "validation_subjects": settings.validation_subjects,
        "calibration_subjects": settings.calibration_subjects,
    }


def proved_seeds(manifest: BundleManifest) -> frozenset[int] | None:
    """Give the seeds of the subjects that the networks of a virtual bundle saw, where its hash proves them.

    The slices that its segmenter learned from are painted from random streams that no subject of a cohort has.

    Args:
        manifest: Of any bundle.

    Returns:
        Seeds of training and validation; None where the hash is of other subjects.
    """
    counts = (manifest.training.get("age_model_subjects", 0), manifest.training.get("validation_subjects", 0))
    firsts = (_FIRST_SEEDS["training"], _FIRST_SEEDS["validation"])
    seeds = [seed for first, n in zip(firsts, counts, strict=True) for seed in range(first, first + n)]
    return frozenset(seeds) if split_sha256(seeds) == manifest.training_split_sha256 else None


def split_sha256(subjects: Iterable[int | str]) -> str:
    """Hash the sorted ids of the training and validation subjects, one a line."""
    return hashlib.sha256("\n".join(sorted(map(str, subjects))).encode()).hexdigest()


def _training_shares(regions: Path, edges_years: list[float]) -> list[float]:
    """Share of training subjects in each age bin."""
    return age_shares((load_regions(path).age_years for path in region_files(regions)), edges_years)
