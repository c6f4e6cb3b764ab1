"""The threshold rule of the bundle that ships: tuned, and its errors counted, on fresh virtual subjects.

It needs the bundle alone, not the work folder that its networks come from: most subjects of a virtual bundle are there
for its rule, and they can be made on another day or machine.
"""

from __future__ import annotations

from pathlib import Path

from kneeage.core.errors import InputRefusedError
from kneeage.core.manifest import BundleManifest, ThresholdPolicy
from kneeage.decide.question import DEFAULT_THRESHOLDS_YEARS
from kneeage.io.bundle import DATASHEET_FILE, load_bundle, write_bundle
from kneeage.learn.judge import load_networks
from kneeage.learn.progress import Counting, uncounted
from kneeage.learn.virtual_bundle import BUNDLE_NAME, RULE_COHORTS, VirtualBundleSettings, make_cohorts, only_one
from kneeage.learn.virtual_regions import RegionJob
from kneeage.phantom.cohort.presets import PRESETS
from kneeage.study.ceiling_policy import ceiling_policies
from kneeage.study.model_card import datasheet, model_card
from kneeage.study.tuning import count_errors, tune_policy
from kneeage.study.virtual_bundle import Material

# Of the simulated subjects that the best readers' rule is tuned and counted on, and how many: images cost nothing here,
# and few subjects would leave it to chance which reader looks better.
_READER_SEEDS, _READER_SUBJECTS = (31_000_001, 31_000_002), 10_000


def tune_virtual_bundle(
    folder: Path, work: Path, settings: VirtualBundleSettings | None = None, counting: Counting = uncounted
) -> BundleManifest:
    """Tune the threshold rule of a virtual bundle, count its errors, and write both into the bundle.

    Args:
        folder: Folder of the bundle; its manifest, model card and datasheet are replaced.
        work: Folder of the subjects; a broken-off run goes on from it.
        settings: How many there are; as for the shipped bundle when None.
        counting: Shows how far each part is.

    Returns:
        The manifest that was written.

    Raises:
        BundleError: The folder holds no valid bundle.
        InputRefusedError: The bundle was not made of virtual subjects by ``make_virtual_bundle``.
        UsageError: The work folder holds other subjects, or another segmenter's regions.
        OutputError: A folder cannot be written.
        WorkerError: A process died.
    """
    settings = settings or VirtualBundleSettings()
    bundle = load_bundle(folder)
    manifest = bundle.manifest
    _require_virtual(manifest)
    with only_one(work):
        job = RegionJob(folder / manifest.segment.file, manifest.segment, manifest.age)
        make_cohorts(work, settings, job, RULE_COHORTS, counting)
        material = Material(work, load_networks(folder, manifest, settings.workers), counting)
        sizes = {
            "tuning_subjects_per_sex_and_window": settings.tuning_per_group,
            "counting_subjects_per_sex_and_window": settings.counting_per_group,
        }
        tuned = {"policy": _policy(material, manifest, settings.error_limit), "training": manifest.training | sizes}
        manifest = manifest.model_copy(update=tuned)
        files = bundle.files() | {DATASHEET_FILE: datasheet(manifest).encode()}
        write_bundle(folder, manifest, files, model_card(manifest))
    return manifest


def _require_virtual(manifest: BundleManifest) -> None:
    """Refuse a bundle that these subjects say nothing about, or whose model card is another one.

    Raises:
        InputRefusedError: It is of another population, or was recalibrated.
    """
    if not manifest.is_virtual or manifest.name != BUNDLE_NAME or manifest.lineage is not None:
        raise InputRefusedError(
            f"{manifest.name} {manifest.version} was not made by 'kneeage bundle make'; its threshold rule is tuned "
            "with 'kneeage bundle recalibrate' on subjects of its own population"
        )


def _policy(material: Material, manifest: BundleManifest, limit: float) -> ThresholdPolicy:
    """Tune the threshold rule, and count its errors and those of the best readers on other subjects."""
    thresholds, edges = DEFAULT_THRESHOLDS_YEARS, manifest.age_edges_years
    policy = tune_policy(material.predictions("tuning", manifest), thresholds, limit=limit)
    readers = ceiling_policies(
        PRESETS["forensic"], edges, thresholds, subjects=_READER_SUBJECTS, seeds=_READER_SEEDS, limit=limit
    )
    fresh = [*material.predictions("counting", manifest), *material.predictions("test", manifest)]
    return count_errors(policy, fresh, readers)
