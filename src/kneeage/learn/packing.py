"""The networks of a bundle from finished runs of ``kneeage train``: do they belong together, do they answer alike."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from kneeage.cohort.folder import Cohort
from kneeage.cohort.split import Group
from kneeage.core.anatomy import Plane
from kneeage.core.errors import BundleError, InputRefusedError, UsageError
from kneeage.core.manifest import AgeStage, SegmentStage
from kneeage.infer.slices import padded_to_multiple
from kneeage.io.bundle import MANIFEST_FILE, Bundle, load_bundle
from kneeage.learn.age_model import AgeModel, load_age_model
from kneeage.learn.data import load_regions, load_slices
from kneeage.learn.export import Parity, export_subject_model, parity, served
from kneeage.learn.finished import AGE_MODEL, END_TO_END, SEGMENTER, FinishedRun, read_finished
from kneeage.learn.prepared_cohort import RegionJob, SliceJob, Tell
from kneeage.learn.progress import untold
from kneeage.learn.segmenter import load_segmenter
from kneeage.learn.stages import SEGMENTER_FILE, age_files
from kneeage.learn.train_cohort import segmenter_sha256
from kneeage.prepare.recipe import load_recipe

# How far a logit of ONNX Runtime may be from that of torch. Source: ours; float32 sums in another order differ by far
# less, and a layer that was exported wrongly by far more.
PARITY_TOLERANCE = 1e-3
# Subjects whose images are read anew and shown to both, and slices of each that both segmenters see.
PARITY_SUBJECTS, PARITY_SLICES = 3, 4
# What of the preparation must be the same; files of one segmenter may differ by the program that wrote them.
_SEGMENTER_FILE_KEY = "segmenter_sha256"
_KINDS = {SEGMENTER: "a segmenter", AGE_MODEL: "an age model", END_TO_END: "a model trained end to end"}


@dataclass(frozen=True, eq=False)
class Trained:
    """Networks that belong together.

    Args:
        ages: Runs of the age models; several are an ensemble.
        segmenter: Run of the segmenter; None where it is a bundle's.
        bundle: Bundle that the segmenter is taken from; None where it was trained by a run.
    """

    ages: tuple[FinishedRun, ...]
    segmenter: FinishedRun | None = None
    bundle: Bundle | None = field(default=None, repr=False)

    @property
    def preparation(self) -> Mapping[str, Any]:
        """How images are prepared, labelled and cut."""
        return self.ages[0].preparation

    @property
    def plane(self) -> Plane:
        """Plane of the slices."""
        return Plane(self.preparation["plane"])

    @property
    def segment_stage(self) -> SegmentStage:
        """Stage of the segmenter."""
        return SegmentStage(file=SEGMENTER_FILE, **self.preparation["segment"])

    @property
    def age_stage(self) -> AgeStage:
        """Stage of the age models."""
        return AgeStage(
            files=age_files(len(self.ages)),
            slice_pooling="in_graph",
            fact_names=list(self.models[0].fact_input.names),
            **self.preparation["age"],
        )

    @property
    def edges_years(self) -> tuple[float, ...]:
        """Edges of the age bins that the networks were made for."""
        return self.models[0].settings.age_edges_years

    @cached_property
    def models(self) -> tuple[AgeModel, ...]:
        """The age models."""
        return tuple(load_age_model(run.checkpoint) for run in self.ages)

    @cached_property
    def unet(self) -> nn.Module | None:
        """The segmenter of the run; None where it is a bundle's."""
        return None if self.segmenter is None else load_segmenter(self.segmenter.checkpoint).network

    def used(self, group: Group) -> list[str]:
        """Give the subjects that any age model used, sorted."""
        return sorted({subject for run in self.ages for subject in run.used(group)})

    def segmenter_bytes(self) -> bytes:
        """Give the very network that cut the regions which the age models learned from.

        Raises:
            InputRefusedError: It is no longer in the run of the age model.
            BundleError: The bundle was altered.
        """
        if self.bundle is not None:
            return self.bundle.model_bytes(self.bundle.manifest.segment.file)
        path = self.ages[0].folder / SEGMENTER_FILE
        content = path.read_bytes() if path.exists() else b""
        if hashlib.sha256(content).hexdigest() != self.preparation[_SEGMENTER_FILE_KEY]:
            raise InputRefusedError(f"{str(path)!r} is missing, or not as the run left it; copy the run again")
        return content

    def networks(self, bins: slice) -> dict[str, bytes]:
        """Export the networks, in float32.

        Args:
            bins: Age bins that the age models answer for.

        Returns:
            ONNX files by name, segmenter first.

        Raises:
            UsageError: An age model sees no image.
            InputRefusedError: The segmenter is no longer in the run of the age model.
        """
        exported = (export_subject_model(model, "float32", bins) for model in self.models)
        return {SEGMENTER_FILE: self.segmenter_bytes(), **dict(zip(self.age_stage.files, exported, strict=True))}


def read_trained(segmenter: Path, age_runs: Sequence[Path]) -> Trained:
    """Read finished runs, and prove that they belong together.

    Args:
        segmenter: Run of ``kneeage train segmenter``, or a bundle.
        age_runs: Runs of ``kneeage train age``.

    Raises:
        UsageError: A run of an age model is named twice.
        InputRefusedError: A run is not finished or of another kind, or they do not belong together.
        BundleError: The bundle is not whole.
    """
    if len({run.resolve() for run in age_runs}) < len(age_runs):
        raise UsageError("a run of an age model is named twice; an ensemble needs different ones")
    ages = tuple(_run_of(AGE_MODEL, run) for run in age_runs)
    for run in ages[1:]:
        _require_alike(ages[0], run)
    bundle = load_bundle(segmenter) if (segmenter / MANIFEST_FILE).exists() else None
    trained = Trained(ages, None if bundle else _run_of(SEGMENTER, segmenter), bundle)
    _require_own_segmenter(trained, segmenter_sha256(segmenter))
    for model in trained.models[1:]:
        _require_same_answers(trained.models[0], model)
    return trained


def seen_bins(ages_years: Sequence[float], edges_years: Sequence[float]) -> slice:
    """Say which age bins lie between the youngest and the oldest learner: of others a network knows nothing.

    Raises:
        InputRefusedError: All ages lie in one bin.
    """
    places = np.clip(np.searchsorted(edges_years, ages_years, side="right") - 1, 0, len(edges_years) - 2)
    first, last = int(places.min()), int(places.max())
    if first == last:
        raise InputRefusedError(
            f"all ages that were learned lie in one bin, {edges_years[first]:g} to {edges_years[first + 1]:g} years; "
            "train on a cohort of several ages"
        )
    return slice(first, last + 1)


def age_shares(ages_years: Iterable[float], edges_years: Sequence[float]) -> list[float]:
    """Give the share of subjects in each age bin, with one subject added to each so that none is empty."""
    counts = np.histogram(list(ages_years), edges_years)[0] + 1
    return [float(share) for share in counts / counts.sum()]


def compare(
    trained: Trained, networks: Mapping[str, bytes], cohort: Cohort, bins: slice, tell: Tell = untold
) -> dict[str, Parity]:
    """Show images of the runs' own subjects to torch and to ONNX Runtime.

    The images are read from the cohort, and prepared, labelled and cut anew by the networks that are packed.

    Args:
        trained: The networks as they were trained.
        networks: The same as they are packed.
        cohort: The cohort that they learned from.
        bins: Age bins that the packed age models answer for.
        tell: Told how many subjects are done.

    Returns:
        By file name, how far both are from each other; a segmenter from a bundle has no torch network and is not among
        them.

    Raises:
        InputRefusedError: An image cannot be read any more.
        BundleError: They do not answer alike.
    """
    chosen = (trained.ages[0].used(Group.VALIDATION) or trained.used(Group.TRAINING))[:PARITY_SUBJECTS]
    found: dict[str, list[Parity]] = {}
    with TemporaryDirectory() as folder:
        material = _Material(trained, cohort, Path(folder), networks[SEGMENTER_FILE])
        for done, subject in enumerate(chosen, 1):
            for name, each in _compared(trained, networks, material, subject, bins):
                found.setdefault(name, []).append(each)
            tell(done, len(chosen))
    together = {name: _worst(each) for name, each in found.items()}
    _require_parity(together)
    return together


class _Material:
    """Subjects as both kinds of networks see them.

    Args:
        trained: The networks.
        cohort: The cohort.
        folder: Folder to write into.
        segmenter: The packed segmenter.
    """

    def __init__(self, trained: Trained, cohort: Cohort, folder: Path, segmenter: bytes) -> None:
        self._cohort, self._folder = cohort, folder
        self._entries = {entry.subject_id: entry for entry in cohort.entries}
        (folder / SEGMENTER_FILE).write_bytes(segmenter)
        recipe, plane = load_recipe(dict(trained.preparation["recipe"])), trained.plane
        self._slice_job = SliceJob(recipe, plane, labels_needed=False)
        stages = (trained.segment_stage, trained.age_stage)
        self._region_job = RegionJob(folder / SEGMENTER_FILE, *stages, recipe, plane)

    def slices(self, subject: str) -> NDArray[np.float32]:
        """Give a few slices of a subject, float32 (S, 1, J, I)."""
        path = self._folder / "slices.npz"
        self._slice_job.make(self._cohort, self._entries[subject], path)
        images = load_slices(path).images
        picks = np.linspace(0, len(images) - 1, min(PARITY_SLICES, len(images))).round().astype(int)
        return np.asarray(images[picks], np.float32)[:, None]

    def regions(self, subject: str, names: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Give the inputs of an age network: ``image`` (S, 3, rows, columns) and ``facts`` (1, F)."""
        path = self._folder / "regions.npz"
        self._region_job.make(self._cohort, self._entries[subject], path)
        found = load_regions(path)
        return {"image": np.asarray(found.regions, np.float32), "facts": found.row(names)}


def _compared(
    trained: Trained, networks: Mapping[str, bytes], material: _Material, subject: str, bins: slice
) -> Iterator[tuple[str, Parity]]:
    """Compare every network on one subject."""
    if trained.unet is not None:
        image = padded_to_multiple(material.slices(subject), trained.segment_stage.size_multiple)
        yield SEGMENTER_FILE, parity(trained.unet, networks[SEGMENTER_FILE], {"image": image})
    stage = trained.age_stage
    inputs = material.regions(subject, stage.fact_names)
    for name, model in zip(stage.files, trained.models, strict=True):
        yield name, parity(served(model, bins), networks[name], inputs)


def _worst(found: Sequence[Parity]) -> Parity:
    """Put comparisons together."""
    largest = float(np.max([each.largest_difference for each in found]))
    return Parity(largest, sum(each.changed_labels for each in found))


def _require_parity(found: Mapping[str, Parity]) -> None:
    """Refuse networks that do not answer as they were trained; a difference that is no number is one, too."""
    for name, each in found.items():
        if not each.largest_difference <= PARITY_TOLERANCE or each.changed_labels:
            raise BundleError(
                f"{name} does not answer as the network that was trained: values differ by up to "
                f"{each.largest_difference:.2g} (at most {PARITY_TOLERANCE:g} is tolerated), {each.changed_labels} "
                "labels change; the export is faulty with these versions of torch and ONNX Runtime: try others"
            )


def _run_of(kind: str, folder: Path) -> FinishedRun:
    """Read a finished run of a kind."""
    run = read_finished(folder)
    if run.network == kind:
        return run
    found = f"{str(folder)!r} holds {_KINDS.get(run.network, run.network)}, not {_KINDS[kind]}"
    if run.network == END_TO_END:
        raise InputRefusedError(
            f"{found}: preset paper looks at whole slices through a U-Net of its own, and bundles have no such stage; "
            "train an age model with --preset default or forensic"
        )
    raise InputRefusedError(f"{found}; give another run")


def _require_alike(first: FinishedRun, other: FinishedRun) -> None:
    """Refuse an ensemble whose members were not made alike."""
    pairs = {
        "preparation of images": [_without_file(run.preparation) for run in (first, other)],
        "segmenter": [run.facts["segmenter_sha256"] for run in (first, other)],
        "population": [run.population for run in (first, other)],
    }
    for words, (one, two) in pairs.items():
        if one != two:
            raise InputRefusedError(
                f"{first.folder.name!r} and {other.folder.name!r} were trained with another {words}; an ensemble needs "
                "the same"
            )


def _require_same_answers(first: AgeModel, other: AgeModel) -> None:
    """Refuse an ensemble whose members are told, or answer, different things."""
    if first.settings.age_edges_years != other.settings.age_edges_years:
        raise InputRefusedError("the age models answer in different age bins; an ensemble needs the same")
    if first.fact_input.names != other.fact_input.names:
        raise InputRefusedError("the age models are told different facts; an ensemble needs the same")


def _without_file(preparation: Mapping[str, Any]) -> dict[str, Any]:
    """Leave the segmenter's file out."""
    return {name: value for name, value in preparation.items() if name != _SEGMENTER_FILE_KEY}


def _require_own_segmenter(trained: Trained, sha256: str) -> None:
    """Refuse a segmenter that the age models were not trained behind, or that prepares images otherwise."""
    age = trained.ages[0]
    if age.facts["segmenter_sha256"] != sha256:
        raise InputRefusedError(
            f"{age.folder.name!r} was trained behind another segmenter, named {age.facts['segmenter']!r}; give that "
            "one as it was then, or train the age model behind this one"
        )
    if trained.segmenter is None:
        return
    before = trained.segmenter.preparation
    for name in ("recipe", "plane"):
        if before[name] != age.preparation[name]:
            raise InputRefusedError(
                f"segmenter and age model were trained with another {name} of preparation; train one of them anew"
            )
