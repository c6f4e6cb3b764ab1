"""A bundle from what a group trained itself: networks, what their runs say, and nothing that nobody fitted.

No temperature, interval, threshold rule, reference or limit is made up: what was not fitted is absent, and every answer
says so until the bundle is recalibrated on local subjects (`kneeage.study.recalibrate`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import numpy as np

from kneeage.cohort.folder import POPULATION_NOT_STATED, Cohort, read_cohort
from kneeage.cohort.split import Group, require_same_subjects
from kneeage.cohort.table import SubjectEntry
from kneeage.core.anatomy import Label, Sex
from kneeage.core.errors import InputRefusedError, UsageError
from kneeage.core.manifest import VIRTUAL_POPULATION, BundleManifest, ThresholdPolicy
from kneeage.io.bundle import load_bundle, write_bundle
from kneeage.io.output import require_free, whole_folder
from kneeage.learn.export import Parity
from kneeage.learn.finished import software
from kneeage.learn.packing import Trained, age_shares, compare, read_trained, seen_bins
from kneeage.learn.prepared_cohort import weighting_of
from kneeage.learn.progress import Counting, uncounted
from kneeage.learn.virtual_bundle import split_sha256
from kneeage.pipeline import Examiner
from kneeage.study.packed_card import packed_card


@dataclass(frozen=True)
class PackRequest:
    """What is packed, and how the bundle is called.

    Args:
        cohort: Cohort that the age models learned from.
        segmenter: Run of ``kneeage train segmenter``, or a bundle whose segmenter is taken over.
        age_runs: Runs of ``kneeage train age``; several are an ensemble.
        output: New folder.
        name: Name of the bundle; that of the folder when None.
        version: Its version.
        licence: Under which it may be used.
        population: Whom the cohort stands for, where it does not say so itself.
    """

    cohort: Path
    segmenter: Path
    age_runs: tuple[Path, ...]
    output: Path
    name: str | None = None
    version: str = "1.0.0"
    licence: str = "not stated"
    population: str | None = None


@dataclass(frozen=True)
class Packed:
    """What came of it.

    Args:
        manifest: Of the bundle that was written.
        parity: How far ONNX Runtime is from torch, by file.
    """

    manifest: BundleManifest
    parity: Mapping[str, Parity] = field(repr=False)


def pack(request: PackRequest, counting: Counting = uncounted) -> Packed:
    """Write a bundle of what was trained.

    Args:
        request: What is packed.
        counting: Shows how far the comparison is.

    Raises:
        UsageError: The population is nowhere stated, or contradicts the cohort; or the age model sees no image.
        InputRefusedError: A run is not finished or of another kind, the runs do not belong together, or the cohort is
            not theirs.
        BundleError: ONNX Runtime does not answer as torch does.
        OutputError: The folder is taken, or cannot be written.
    """
    require_free(request.output)
    trained = read_trained(request.segmenter, request.age_runs)
    cohort = read_cohort(request.cohort)
    _require_own_cohort(trained, cohort)
    population = _population(request, cohort)
    learners = _entries(cohort, trained.used(Group.TRAINING))
    bins = seen_bins([entry.chronological_age_years for entry in learners], trained.edges_years)
    networks = trained.networks(bins)
    with counting("Comparing torch with ONNX Runtime") as tell:
        parity = compare(trained, networks, cohort, bins, tell)
    manifest = _manifest(request, trained, population, learners, bins)
    card = packed_card(manifest, trained, cohort, parity)
    with whole_folder(request.output) as folder:
        write_bundle(folder, manifest, networks, card)
        Examiner(load_bundle(folder)).load_networks()
    return Packed(manifest, parity)


def _require_own_cohort(trained: Trained, cohort: Cohort) -> None:
    """Refuse a cohort that the runs did not learn from."""
    for run in trained.ages:
        if run.population != cohort.population:
            raise InputRefusedError(
                f"{run.folder.name!r} learned from subjects of the population {run.population!r}, the cohort's is "
                f"{cohort.population!r}; give the cohort that it learned from"
            )
        try:
            require_same_subjects(run.split, cohort.entries)
        except InputRefusedError:
            raise InputRefusedError(
                f"{run.folder.name!r} learned from another cohort, or its table has changed since; give the cohort as "
                "it was"
            ) from None


def _population(request: PackRequest, cohort: Cohort) -> str:
    """Say whom the cohort stands for; what it states itself is never overruled."""
    stated, given = cohort.population, request.population
    if stated != POPULATION_NOT_STATED:
        if given not in (None, stated):
            raise UsageError(f"the cohort states its population, {stated!r}; leave --population out")
        return stated
    if not given or given in (POPULATION_NOT_STATED, VIRTUAL_POPULATION):
        raise UsageError(
            "the cohort does not state its population; say with --population whom it stands for, such as 'boys and "
            "girls of 8 to 20 years, Hospital X, 2015 to 2024'"
        )
    return given


def _manifest(
    request: PackRequest, trained: Trained, population: str, learners: Sequence[SubjectEntry], bins: slice
) -> BundleManifest:
    """Describe the bundle."""
    edges = trained.edges_years[bins.start : bins.stop + 1]
    ages = np.clip([entry.chronological_age_years for entry in learners], edges[0], edges[-1])
    labels = {label.name.lower(): int(label) for label in Label}
    return BundleManifest(
        name=request.name or request.output.absolute().name,
        version=request.version,
        population=population,
        licence=request.licence,
        plane=trained.plane,
        sexes=_sexes(learners),
        age_range_years=(edges[0], edges[-1]),
        age_edges_years=list(edges),
        training_prior=age_shares(ages, edges),
        labels=labels if trained.bundle is None else trained.bundle.manifest.labels,
        recipe=dict(trained.preparation["recipe"]),
        segment=trained.segment_stage,
        age=trained.age_stage,
        policy=ThresholdPolicy.none(),
        sequences=_sequences(learners),
        training_split_sha256=split_sha256(_everyone(trained)),
        training=_sizes(trained),
        made_with=_software(trained),
    )


def _entries(cohort: Cohort, subjects: Sequence[str]) -> list[SubjectEntry]:
    """Give the rows of subjects."""
    wanted = set(subjects)
    return [entry for entry in cohort.entries if entry.subject_id in wanted]


def _sexes(learners: Sequence[SubjectEntry]) -> list[Sex]:
    """List the sexes of the learners."""
    found = {entry.sex for entry in learners}
    return [sex for sex in Sex if sex in found]


def _sequences(learners: Sequence[SubjectEntry]) -> list[str]:
    """List the weightings of the learners' series; none where the table does not tell one of them."""
    found = {weighting_of(entry.sequence) for entry in learners}
    return [] if None in found else sorted(name for name in found if name is not None)


def _everyone(trained: Trained) -> set[str]:
    """Give all subjects that a network learned from, or that chose one."""
    runs = [*trained.ages, *([trained.segmenter] if trained.segmenter else [])]
    return {subject for run in runs for group in (Group.TRAINING, Group.VALIDATION) for subject in run.used(group)}


def _sizes(trained: Trained) -> dict[str, int]:
    """Say of how many subjects and steps the bundle is made."""
    own = trained.segmenter
    segmenter = (
        {}
        if own is None
        else {"segmenter_subjects": len(own.used(Group.TRAINING)), "segmenter_steps": int(own.end["steps"])}
    )
    return {
        **segmenter,
        "age_models": len(trained.ages),
        "age_model_subjects": len(trained.used(Group.TRAINING)),
        "age_model_steps": max(int(run.end["steps"]) for run in trained.ages),
        "validation_subjects": len(trained.used(Group.VALIDATION)),
    }


def _software(trained: Trained) -> dict[str, str]:
    """Name the versions that trained, and those that packed."""
    together: dict[str, set[str]] = {}
    for run in trained.ages:
        for name, number in run.end["software"].items():
            together.setdefault(name, set()).add(str(number))
    packed = {name: software()[name] for name in ("kneeage", "torch")} | {"onnxruntime": version("onnxruntime")}
    bundle = trained.bundle
    return {
        **{name: ", ".join(sorted(numbers)) for name, numbers in together.items()},
        **{f"packed with {name}": number for name, number in packed.items()},
        **({} if bundle is None else {"segmenter of bundle": f"{bundle.manifest.name} {bundle.manifest.version}"}),
    }
