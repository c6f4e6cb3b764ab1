"""The bundle that ships, from seeds alone: virtual slices, segmenter, regions, age model, test, bundle.

Every step leaves its product in the work folder; a step whose product is there is not done again.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path

import lightning
import numpy as np
import torch

from kneeage import __version__
from kneeage.core.anatomy import Label, Plane, Sex
from kneeage.core.manifest import VIRTUAL_POPULATION, BundleManifest
from kneeage.infer.age import AGE_INPUTS
from kneeage.infer.engine import Engine
from kneeage.io.bundle import write_bundle
from kneeage.io.output import whole_file
from kneeage.learn.age_model import train_age_model
from kneeage.learn.calibrate import fit_calibration
from kneeage.learn.data import load_regions, region_files
from kneeage.learn.export import export_age_model, export_segmenter
from kneeage.learn.held_out import held_out_numbers, model_card
from kneeage.learn.segmenter import train_segmenter
from kneeage.learn.settings import AgeModelSettings, AugmentSettings, FitSettings, SegmenterSettings
from kneeage.learn.stages import AGE_FILE, SEGMENTER_FILE, age_stage, segment_stage
from kneeage.learn.virtual_regions import RegionJob, make_regions, read_facts
from kneeage.phantom.cohort.pool import PoolSettings, SlicePool, paint_pool
from kneeage.phantom.cohort.subject import FORENSIC_AGES_YEARS
from kneeage.prepare.recipe import DEFAULT

BUNDLE_NAME, BUNDLE_VERSION = "virtual-knee", "0.3.0"
# First seed of each cohort, far enough apart never to meet.
_TRAINING_SEED, _VALIDATION_SEED, _TEST_SEED = 21_000_000, 22_000_000, 23_000_000


@dataclass(frozen=True)
class VirtualBundleSettings:
    """How large everything is. The defaults are those of the shipped bundle.

    Args:
        pool_subjects: Subjects painted for the segmenter.
        pool_validation_subjects: Further subjects that choose its checkpoint.
        training_subjects: Subjects the age model learns from.
        validation_subjects: Subjects that choose its checkpoint and fit its temperature.
        test_subjects: Subjects that nothing was chosen on, whole series.
        segmenter: Settings of the segmenter's training.
        age_model: Settings of the age model's training.
        workers: Processes that paint and cut.
    """

    pool_subjects: int = 420
    pool_validation_subjects: int = 40
    training_subjects: int = 400
    validation_subjects: int = 80
    test_subjects: int = 100
    segmenter: SegmenterSettings = field(
        default_factory=lambda: SegmenterSettings(
            fit=FitSettings(batch_size=12, learning_rate=5e-3, max_steps=3705, steps_per_epoch=200, workers=1)
        )
    )
    age_model: AgeModelSettings = field(
        default_factory=lambda: AgeModelSettings(
            fit=FitSettings(batch_size=16, learning_rate=1e-3, max_steps=1430, steps_per_epoch=100),
            augment=AugmentSettings(drop_grey=0.15, drop_masks=0.15),
            label_sigma_years=0.5,
        )
    )
    workers: int = 2


def make_virtual_bundle(folder: Path, work: Path, settings: VirtualBundleSettings | None = None) -> BundleManifest:
    """Make the bundle from seeds.

    Args:
        folder: Folder of the bundle; one that lies there is replaced.
        work: Folder of what is made on the way; a broken-off run goes on from it.
        settings: How large everything is; that of the shipped bundle when None.

    Returns:
        The manifest of the bundle that was written.

    Raises:
        UsageError: The work folder holds runs with other settings.
        OutputError: A folder cannot be written.
    """
    settings = settings or VirtualBundleSettings()
    segmenter = _exported(work / SEGMENTER_FILE, lambda: export_segmenter(_train_segmenter(work, settings)))
    job = RegionJob(work / SEGMENTER_FILE, segment_stage(), age_stage())
    _make_cohorts(work, job, settings)
    age = _exported(work / AGE_FILE, lambda: export_age_model(_train_age_model(work, settings)))
    manifest = _manifest(work, settings)
    network = Engine(age, name=AGE_FILE, inputs=AGE_INPUTS, threads=settings.workers)
    calibration = fit_calibration(manifest, network, work / "validation" / "regions", read_facts(work / "validation"))
    manifest = manifest.model_copy(update={"calibration": calibration})
    numbers = held_out_numbers(manifest, network, work / "test" / "regions", read_facts(work / "test"))
    manifest = manifest.model_copy(update={"held_out": numbers})
    write_bundle(folder, manifest, {SEGMENTER_FILE: segmenter, AGE_FILE: age}, model_card(manifest))
    return manifest


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


def _make_cohorts(work: Path, job: RegionJob, settings: VirtualBundleSettings) -> None:
    """Make the regions of the training, validation and test cohorts."""
    for name, seeds in _cohorts(settings).items():
        make_regions(work / name, seeds, replace(job, whole_series=name == "test"), settings.workers, f"{name} cohort")


def _cohorts(settings: VirtualBundleSettings) -> dict[str, range]:
    """Seeds of each cohort."""
    firsts = {"training": _TRAINING_SEED, "validation": _VALIDATION_SEED, "test": _TEST_SEED}
    counts = (settings.training_subjects, settings.validation_subjects, settings.test_subjects)
    return {name: range(first, first + n) for (name, first), n in zip(firsts.items(), counts, strict=True)}


def _train_age_model(work: Path, settings: VirtualBundleSettings) -> Path:
    """Train the age model on the regions."""
    training, validation = work / "training" / "regions", work / "validation" / "regions"
    return train_age_model(training, validation, settings.age_model, work / "age_model")


def _exported(path: Path, export: Callable[[], bytes]) -> bytes:
    """Read an exported network, exporting it first if it is not there."""
    if not path.exists():
        exported = export()
        with whole_file(path) as temporary:
            temporary.write_bytes(exported)
    return path.read_bytes()


def _manifest(work: Path, settings: VirtualBundleSettings) -> BundleManifest:
    """Describe the bundle, before calibration and test."""
    cohorts = _cohorts(settings)
    edges = list(settings.age_model.age_edges_years)
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
        age=age_stage(),
        training_split_sha256=split_sha256([*cohorts["training"], *cohorts["validation"]]),
        training={
            "subjects_painted_for_the_segmenter": settings.pool_subjects,
            "segmenter_steps": settings.segmenter.fit.max_steps,
            "age_model_subjects": settings.training_subjects,
            "age_model_steps": settings.age_model.fit.max_steps,
            "validation_subjects": settings.validation_subjects,
        },
        made_with={
            "kneeage": __version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "lightning": lightning.__version__,
            "monai": version("monai"),
        },
    )


def proved_seeds(manifest: BundleManifest) -> frozenset[int] | None:
    """Give the seeds of the subjects that the networks of a virtual bundle saw, where its hash proves them.

    The slices that its segmenter learned from are painted from random streams that no subject of a cohort has.

    Args:
        manifest: Of any bundle.

    Returns:
        Seeds of training and validation; None where the hash is of other subjects.
    """
    counts = (manifest.training.get("age_model_subjects", 0), manifest.training.get("validation_subjects", 0))
    firsts = (_TRAINING_SEED, _VALIDATION_SEED)
    seeds = [seed for first, n in zip(firsts, counts, strict=True) for seed in range(first, first + n)]
    return frozenset(seeds) if split_sha256(seeds) == manifest.training_split_sha256 else None


def split_sha256(subjects: Iterable[int]) -> str:
    """Hash the sorted ids of the training and validation subjects, one a line."""
    return hashlib.sha256("\n".join(sorted(map(str, subjects))).encode()).hexdigest()


def _training_shares(regions: Path, edges_years: list[float]) -> list[float]:
    """Share of training subjects in each age bin, with one subject added to each so that none is empty."""
    ages = [load_regions(path).age_years for path in region_files(regions)]
    counts = np.histogram(ages, edges_years)[0] + 1
    return [float(share) for share in counts / counts.sum()]
