"""Measure the training of the `default` age model against a plain loop: the same network, loss and augmentation.

The plain loop is what one writes first: each step reads its subjects' series, prepares them and cuts the regions, and
trains in float32 with the channels first. Both run in one process, one after the other, on the same subjects.
Run it with ``make bench-training``; it writes ``benchmarks/results/training.md``.
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import lightning
import numpy as np
import torch

import kneeage
from kneeage.cohort.folder import Cohort, read_cohort
from kneeage.cohort.label_maps import read_labels
from kneeage.cohort.table import SubjectEntry
from kneeage.core.anatomy import Plane, Sex
from kneeage.core.machine import available_cores
from kneeage.core.workers import on_cores
from kneeage.infer.region import age_regions, find_sites
from kneeage.infer.segment import OPEN_PLATES, SCARS
from kneeage.learn.age_model import AgeModel, Batch, train_age_model
from kneeage.learn.data import RegionDataset, SubjectRegions, save_regions, subject_of
from kneeage.learn.optimizers import build_optimizer
from kneeage.learn.presets import preset
from kneeage.learn.settings import AgeModelSettings, Backbone, as_json_object
from kneeage.learn.stages import age_stage
from kneeage.phantom.cohort.make import CohortRecipe, make_cohort
from kneeage.phantom.cohort.presets import PRESETS
from kneeage.phantom.cohort.write import FileFormat
from kneeage.prepare.recipe import DEFAULT, prepare

REPORT = Path(__file__).parent / "results" / "training.md"
# At least twice the throughput of a plain loop is the aim.
TARGET = 2.0
WARM_UP = 2
NETWORKS: tuple[Backbone, ...] = ("googlenet", "densenet121", "efficientnet-b0", "resnet18")


@dataclass(frozen=True)
class Times:
    """Median seconds of one training step.

    Args:
        ours: Of `train_age_model` with the default preset: data, network, optimiser, metrics, checkpoints aside.
        plain: Of the plain loop.
        plain_images: Of it, reading, preparing and cutting.
        variants: Network, loss and optimiser alone, on a batch that is there already, by precision and layout.
        networks: The same by network, one slice of each subject, with the precision and layout of the preset.
    """

    ours: float
    plain: float
    plain_images: float
    variants: dict[str, float]
    networks: dict[str, float]


def main() -> None:
    """Measure, print and write the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subjects", type=int, default=32, help="subjects of the cohort")
    parser.add_argument("--steps", type=int, default=20, help="steps measured of ours; the plain loop takes a quarter")
    parser.add_argument("--threads", type=int, default=available_cores(), help="threads of torch")
    parser.add_argument("--output", type=Path, default=REPORT, help="where the report is written")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    settings = preset("default").age_model
    with tempfile.TemporaryDirectory() as scratch:
        cohort = _make(Path(scratch) / "cohort", options.subjects)
        files = _cached(cohort, Path(scratch) / "prepared")
        usable = [
            entry for entry in cohort.entries if (Path(scratch) / "prepared" / f"{entry.subject_id}.npz").exists()
        ]
        images, plain = plain_seconds(replace(cohort, entries=tuple(usable)), settings, max(3, options.steps // 4))
        ours = our_seconds(files, settings, options.steps, Path(scratch) / "run")
        few = max(3, options.steps // 4)
        times = Times(ours, plain, images, _variants(files, settings, few), _networks(files, settings, few))
    text = report(times, settings, len(files), options.threads)
    sys.stdout.write(text)
    options.output.write_text(text, encoding="utf-8")


def report(times: Times, settings: AgeModelSettings, subjects: int, threads: int) -> str:
    """Write the report."""
    batch, ratio = settings.fit.batch_size, times.plain / times.ours
    verdict = "met" if ratio >= TARGET else "missed"
    lines = [
        "# Training throughput",
        "",
        f"`make bench-training`: the age model of preset `default`, steps of {batch} subjects with "
        f"{settings.slices_per_subject} slices each, {subjects} virtual subjects, {threads} threads; medians.",
        f"kneeage {kneeage.__version__}, Python {platform.python_version()}, torch {torch.__version__}, lightning "
        f"{lightning.__version__}, {platform.machine()}, {available_cores()} cores.",
        "",
        "| what | seconds per step | subjects per second |",
        "|---|---|---|",
        *(_row(name, seconds, batch) for name, seconds in _measured(times).items()),
        "",
        f"**{ratio:.1f} times the plain loop** (at least {TARGET:g}: {verdict}). "
        f"With the images of the plain loop prepared beforehand too, it would be "
        f"{(times.plain - times.plain_images) / times.ours:.1f} times.",
        "",
        "The plain loop has the same network, loss, augmentation and optimiser in float32 with the channels first; at "
        "each step it reads the series of its subjects (NIfTI), prepares them and cuts the regions by the true labels. "
        "A segmenter in its place would make it slower still. `kneeage train age` does that once, before training.",
        "The last rows are the network, its loss and the optimiser alone, on a batch that is there already: what "
        "precision and layout give, and what limits the training once images are no longer the limit. Networks of "
        "other kinds have their published widths, GoogLeNet half of its own.",
        "",
    ]
    return "\n".join(lines)


def plain_seconds(cohort: Cohort, settings: AgeModelSettings, steps: int) -> tuple[float, float]:
    """Measure the plain loop: seconds per step for its images, and for the whole step."""
    module, optimizer = _module(replace(settings, fit=replace(settings.fit, channels_last=False)))
    images, whole = [], []
    for step in range(steps):
        start = time.perf_counter()
        batch = _plain_batch(cohort, settings, step)
        images.append(time.perf_counter() - start)
        _step(module, optimizer, batch)
        whole.append(time.perf_counter() - start)
    return median(images[1:]), median(whole[1:])


def our_seconds(files: list[Path], settings: AgeModelSettings, steps: int, run: Path) -> float:
    """Measure the trainer, from the beginning of one step to that of the next."""
    length = steps + WARM_UP + 1
    fit = replace(settings.fit, max_steps=length, steps_per_epoch=length, progress_bar=False, accelerator="cpu")
    starts: list[float] = []
    with _noting(starts):
        train_age_model(files, files[:1], replace(settings, fit=fit), run)
    return median(np.diff(starts[WARM_UP:]).tolist())


@contextmanager
def _noting(starts: list[float]) -> Iterator[None]:
    """Note when each training step of the age model begins."""
    training_step = AgeModel.training_step

    def noted(module: AgeModel, batch: Batch) -> torch.Tensor:
        starts.append(time.perf_counter())
        return training_step(module, batch)

    with patch.object(AgeModel, "training_step", noted):
        yield


def _variants(files: list[Path], settings: AgeModelSettings, steps: int) -> dict[str, float]:
    """Measure the network alone by precision and layout."""
    seconds = {}
    for name, channels_last, precision in (
        ("float32, channels first", False, torch.float32),
        ("float32, channels last", True, torch.float32),
        ("bfloat16, channels first", False, torch.bfloat16),
        ("bfloat16, channels last", True, torch.bfloat16),
    ):
        changed = replace(settings, fit=replace(settings.fit, channels_last=channels_last))
        seconds[name] = _alone(files, changed, steps, precision)
    return seconds


def _networks(files: list[Path], settings: AgeModelSettings, steps: int) -> dict[str, float]:
    """Measure other networks beside GoogLeNet, one slice of each subject, in bfloat16 with the channels last."""
    single = replace(settings, slices_per_subject=1, fit=replace(settings.fit, channels_last=True))
    return {name: _alone(files, replace(single, backbone=name), steps, torch.bfloat16) for name in NETWORKS}


def _alone(files: list[Path], settings: AgeModelSettings, steps: int, precision: torch.dtype) -> float:
    """Measure a step of network, loss and optimiser on a batch that is there already."""
    module, optimizer = _module(settings)
    run = partial(_step, module, optimizer, _cached_batch(files, settings), precision)
    run()
    return median([_seconds(run) for _ in range(steps)])


def _module(settings: AgeModelSettings) -> tuple[AgeModel, torch.optim.Optimizer]:
    """Make the age model without a trainer."""
    torch.manual_seed(settings.fit.seed)
    module = AgeModel(as_json_object(settings))
    module.log_dict = lambda *_, **__: None  # type: ignore[method-assign]
    return module.train(), build_optimizer(module.parameters(), settings.fit)


def _step(
    module: AgeModel, optimizer: torch.optim.Optimizer, batch: Batch, precision: torch.dtype = torch.float32
) -> None:
    """Take one step of gradient descent."""
    optimizer.zero_grad()
    with torch.autocast("cpu", precision, enabled=precision is not torch.float32):
        loss = module.training_step(batch)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(module.parameters(), module.settings.fit.gradient_clip)
    optimizer.step()


def _plain_batch(cohort: Cohort, settings: AgeModelSettings, step: int) -> Batch:
    """Read, prepare and cut the subjects of one step."""
    size, subjects = settings.fit.batch_size, cohort.entries
    chosen = [subjects[subject_of(step * size + n, len(subjects), settings.fit.seed)] for n in range(size)]
    rng = np.random.default_rng(step)
    cut = [(entry, _cut(cohort, entry)) for entry in chosen]
    return _batch([(_some(regions, settings, rng), entry) for entry, regions in cut if regions is not None])


def _cached_batch(files: Sequence[Path], settings: AgeModelSettings) -> Batch:
    """Read one batch of what is prepared."""
    dataset = RegionDataset(files, settings.slices_per_subject, settings.fit.seed)
    regions, sexes, ages = zip(*(dataset[number] for number in range(settings.fit.batch_size)), strict=True)
    return torch.stack(regions), torch.stack(sexes), torch.stack(ages)


def _batch(subjects: Sequence[tuple[np.ndarray[Any, Any], SubjectEntry]]) -> Batch:
    """Turn subjects into tensors."""
    regions = torch.from_numpy(np.stack([cut for cut, _ in subjects]))
    sexes = torch.tensor([[float(entry.sex is Sex.MALE)] for _, entry in subjects])
    return regions, sexes, torch.tensor([entry.chronological_age_years for _, entry in subjects])


def _some(regions: np.ndarray[Any, Any], settings: AgeModelSettings, rng: np.random.Generator) -> np.ndarray[Any, Any]:
    """Draw a few of a subject's slices."""
    chosen = rng.choice(len(regions), settings.slices_per_subject, replace=len(regions) < settings.slices_per_subject)
    return np.asarray(regions[chosen])


def _cut(cohort: Cohort, entry: SubjectEntry) -> np.ndarray[Any, Any] | None:
    """Read and prepare a subject and cut its regions by its true labels; None where a site is not in them."""
    series, place = cohort.series(entry), cohort.labels_path(entry)
    if place is None:
        return None
    truth = read_labels(place, series.volume, entry.subject_id)
    prepared = prepare(series.volume, DEFAULT, plane=Plane.CORONAL, side=series.header.side)
    labels = prepared.labels_from_source(truth)
    sites = find_sites(labels)
    if not sites.both_found or len(sites.common_slices) < age_stage().min_slices:
        return None
    masks = [np.isin(labels.array[0], group) for group in (OPEN_PLATES, SCARS)]
    plates = labels.with_array(np.stack(masks).astype(np.float32))
    return age_regions(prepared.volume, plates, sites, age_stage())


def _make(folder: Path, subjects: int) -> Cohort:
    """Make a small virtual cohort."""
    recipe = CohortRecipe(PRESETS["forensic"], subjects, 1, FileFormat.NIFTI)
    make_cohort(folder, recipe, partial(on_cores, workers=available_cores()), lambda _done, _total: None)
    return read_cohort(folder)


def _cached(cohort: Cohort, folder: Path) -> list[Path]:
    """Cut every subject once."""
    for entry in cohort.entries:
        regions = _cut(cohort, entry)
        if regions is not None:
            known = (int(entry.sex is Sex.MALE), entry.chronological_age_years, entry.subject_id)
            save_regions(folder / f"{entry.subject_id}.npz", SubjectRegions(regions, *known))
    return sorted(folder.glob("*.npz"))


def _measured(times: Times) -> dict[str, float]:
    """Name what was measured."""
    return {
        "`kneeage train age`, all in all": times.ours,
        "plain loop, all in all": times.plain,
        "– of it, images": times.plain_images,
        **{f"network alone: {name}": seconds for name, seconds in times.variants.items()},
        **{f"network alone, one slice: {name}": seconds for name, seconds in times.networks.items()},
    }


def _row(name: str, seconds: float, batch: int) -> str:
    """Write one row of the table."""
    return f"| {name} | {seconds:.2f} | {batch / seconds:.1f} |"


def _seconds(action: Callable[[], object]) -> float:
    """Seconds on the clock."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
