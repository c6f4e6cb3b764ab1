"""Virtual subjects on their way to the age model: the serving code prepares, labels and cuts them.

One file of regions and one file of facts (truth beside measurement) per subject, so that a broken-off run goes on
where it stopped.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from rich.progress import track

from kneeage.core.anatomy import Plane, Sex
from kneeage.core.machine import possible_processes
from kneeage.core.manifest import AgeStage, SegmentStage
from kneeage.core.volume import Volume
from kneeage.infer.engine import Engine
from kneeage.infer.region import SitesSeen, age_regions, find_sites
from kneeage.infer.segment import SEGMENT_INPUTS, label_slices
from kneeage.io.output import whole_file
from kneeage.learn.data import SubjectRegions, save_regions
from kneeage.learn.measured import truth_beside_measurement
from kneeage.phantom.cohort.subject import HOSPITAL_A, HOSPITAL_B, VirtualSubject, virtual_subject
from kneeage.prepare.recipe import DEFAULT, prepare


@dataclass(frozen=True)
class RegionJob:
    """How the regions of a cohort are made.

    Args:
        segmenter: The exported segmenter, an ONNX file.
        segment: Its stage.
        age: Stage of the age model: region shape and number of slices.
        whole_series: Paint whole series, as for a test; else only the slices about the sites.
    """

    segmenter: Path
    segment: SegmentStage
    age: AgeStage
    whole_series: bool = False


def make_regions(folder: Path, seeds: Iterable[int], job: RegionJob, workers: int, note: str) -> None:
    """Make the regions and facts of virtual subjects; those that are there already are kept.

    Args:
        folder: Folder of the cohort: ``regions/SEED.npz`` and ``facts/SEED.json``.
        seeds: One subject each.
        job: How they are made.
        workers: Number of processes.
        note: What the progress bar says.
    """
    missing = [seed for seed in seeds if not _facts_file(folder, seed).exists()]
    with ProcessPoolExecutor(possible_processes(workers)) as executor:
        done = executor.map(_make_subject, missing, [folder] * len(missing), [job] * len(missing))
        for _ in track(done, description=note, total=len(missing)):
            pass


def read_facts(folder: Path) -> list[dict[str, Any]]:
    """Read the facts of every subject of a cohort, in the order of their seeds."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted((folder / "facts").glob("*.json"))]


def _facts_file(folder: Path, seed: int) -> Path:
    """Where the facts of a subject are written; they are written last."""
    return folder / "facts" / f"{seed}.json"


def _make_subject(seed: int, folder: Path, job: RegionJob) -> None:
    """Make one subject and write what comes of it."""
    write_regions(folder, _subject(seed, whole_series=job.whole_series), job)


def write_regions(folder: Path, subject: VirtualSubject, job: RegionJob) -> None:
    """Take a subject through the serving code, and write its regions and facts.

    Args:
        folder: Folder of the cohort.
        subject: A coronal series.
        job: How the regions are made.
    """
    seed = subject.seed
    prepared = prepare(subject.volume, DEFAULT, plane=Plane.CORONAL, side=subject.side)
    found = label_slices(job.segment, _engine(job.segmenter), prepared.volume)
    sites = find_sites(found.labels)
    facts = _facts(subject, prepared.labels_from_source(subject.labels), found.labels, sites)
    if sites.both_found and len(sites.common_slices) >= job.age.min_slices:
        regions = age_regions(prepared.volume, found.plate_probability, sites, job.age)
        sex = int(subject.sex is Sex.MALE)
        save_regions(folder / "regions" / f"{seed}.npz", SubjectRegions(regions, sex, subject.chronological_age_years))
        facts["slices"] = len(regions)
    with whole_file(_facts_file(folder, seed)) as temporary:
        temporary.write_text(json.dumps(facts) + "\n", encoding="utf-8")


def _subject(seed: int, *, whole_series: bool) -> VirtualSubject:
    """Make a virtual subject with a whole series, or with the slices about the sites alone."""
    return virtual_subject(seed, hospital=(HOSPITAL_A, HOSPITAL_B)[seed % 2], about_the_sites=not whole_series)


@lru_cache(maxsize=2)
def _engine(segmenter: Path) -> Engine:
    """Load the segmenter once per process; each process keeps to one core."""
    return Engine(segmenter.read_bytes(), name=segmenter.name, inputs=SEGMENT_INPUTS, threads=1)


def _facts(subject: VirtualSubject, truth: Volume, found: Volume, sites: SitesSeen) -> dict[str, Any]:
    """Put truth beside measurement, with who the subject is."""
    return {
        "seed": subject.seed,
        "hospital": subject.hospital,
        "sex": subject.sex.value,
        "chronological_age_years": subject.chronological_age_years,
        "slices": 0,
        **truth_beside_measurement(truth, found, sites),
    }
