"""Virtual subjects on their way to the age model: the serving code prepares, labels and cuts them.

One file of regions and one file of facts (truth beside measurement) per subject, so that a broken-off run goes on
where it stopped. What all of them were made with is written beside them, since regions of two segmenters do not mix.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from kneeage.core.anatomy import DISTAL_FEMUR, PLATE_SITES, PROXIMAL_TIBIA, Plane, Sex
from kneeage.core.errors import UsageError
from kneeage.core.manifest import AgeStage, SegmentStage
from kneeage.core.result import PlateReport
from kneeage.core.volume import Volume
from kneeage.core.workers import on_cores
from kneeage.infer.engine import Engine
from kneeage.infer.facts import plate_facts, subject_facts
from kneeage.infer.morphometry import measure_plate
from kneeage.infer.quality import image_quality
from kneeage.infer.region import SitesSeen, age_regions, chosen_slices, find_sites
from kneeage.infer.segment import SEGMENT_INPUTS, label_slices
from kneeage.infer.stages import scar_share
from kneeage.io.json_object import read_json_object
from kneeage.io.output import replace_file
from kneeage.learn.data import SubjectRegions, save_regions
from kneeage.learn.measured import truth_beside_measurement
from kneeage.learn.prepared_cohort import Tell
from kneeage.learn.progress import untold
from kneeage.learn.virtual_people import Person
from kneeage.phantom.cohort.body import height_cm, weight_kg
from kneeage.phantom.cohort.subject import VirtualSubject
from kneeage.phantom.growth.stages import dedouit, schmeling_kellinghaus
from kneeage.prepare.recipe import DEFAULT, prepare

Facts = dict[str, Any]
_MADE_WITH = "made_with.json"
# Form of the facts; those of another one lack what a bundle is made of. 2: with pixels and distance of slices. 3: with
# findings.
_FACTS_FORM = 3


@dataclass(frozen=True)
class RegionJob:
    """How the regions of a cohort are made.

    Args:
        segmenter: The exported segmenter, an ONNX file.
        segment: Its stage.
        age: Stage of the age model: region shape and number of slices.
        whole_series: Paint whole series, as for a test; else only the slices about the sites.
        with_truth: Put the true labels' measurements beside those of the drawn ones; a twelfth of the work.
    """

    segmenter: Path
    segment: SegmentStage
    age: AgeStage
    whole_series: bool = False
    with_truth: bool = True


def make_regions(folder: Path, people: Sequence[Person], job: RegionJob, workers: int, tell: Tell = untold) -> None:
    """Make the regions and facts of virtual subjects; those that are there already are kept.

    Args:
        folder: Folder of the cohort: ``regions/SEED.npz`` and ``facts/SEED.json``.
        people: The subjects.
        job: How they are made.
        workers: Number of processes.
        tell: Told how many subjects are made, and how many there will be.

    Raises:
        UsageError: The folder holds regions that were made with another segmenter or version, or are of another size.
        WorkerError: A process died.
    """
    _require_same_making(folder, job)
    missing = [person for person in people if not _facts_file(folder, person.seed).exists()]
    there = len(people) - len(missing)
    tell(there, len(people))
    made = on_cores(partial(_make_subject, folder, job), missing, workers) if missing else iter(())
    for number, _ in enumerate(made, there + 1):
        tell(number, len(people))


def require_nobody_else(folder: Path, people: Sequence[Person]) -> None:
    """Check that a cohort holds only the subjects that are asked for: all that lie there count.

    Raises:
        UsageError: It holds others, such as those of larger sizes or of another seed.
    """
    others = {path.stem for path in _facts_files(folder)} - {str(person.seed) for person in people}
    if others:
        raise UsageError(
            f"{str(folder)!r} holds {len(others)} subjects that these sizes and seeds do not ask for, such as "
            f"{min(others)}; choose another work folder, larger sizes, or remove their regions and facts"
        )


def read_facts(folder: Path) -> list[Facts]:
    """Read the facts of every subject of a cohort, in the order of their seeds."""
    read = (json.loads(path.read_text(encoding="utf-8")) for path in _facts_files(folder))
    return sorted(read, key=lambda facts: int(facts["seed"]))


def _facts_files(folder: Path) -> list[Path]:
    """List the files of facts; what a killed process left half written has a name that begins with a dot."""
    return list((folder / "facts").glob("[!.]*.json"))


def _require_same_making(folder: Path, job: RegionJob) -> None:
    """Write down what a cohort's regions are made with, or compare it with what is written there.

    Raises:
        UsageError: It is not the same.
    """
    path, age = folder / _MADE_WITH, job.age
    wanted = {
        "segmenter_sha256": hashlib.sha256(job.segmenter.read_bytes()).hexdigest(),
        "region_shape": list(age.region_shape),
        "slices": [age.min_slices, age.max_slices],
        "facts_form": _FACTS_FORM,
    }
    if not path.exists():
        replace_file(path, json.dumps(wanted, indent=2) + "\n")
    elif read_json_object(path) != wanted:
        raise UsageError(
            f"{str(folder)!r} holds regions that were made with another segmenter or by another version, or are of "
            "another size; choose another work folder, or remove this one"
        )


def regions_file(folder: Path, seed: int) -> Path:
    """Where the regions of a subject are written, if there are any."""
    return folder / "regions" / f"{seed}.npz"


def _facts_file(folder: Path, seed: int) -> Path:
    """Where the facts of a subject are written; they are written last."""
    return folder / "facts" / f"{seed}.json"


def _make_subject(folder: Path, job: RegionJob, person: Person) -> None:
    """Make one subject and write what comes of it."""
    write_regions(folder, person.subject(about_the_sites=not job.whole_series), job)


def write_regions(folder: Path, subject: VirtualSubject, job: RegionJob) -> None:
    """Take a subject through the serving code, and write its regions and facts.

    Args:
        folder: Folder of the cohort.
        subject: A coronal series.
        job: How the regions are made.
    """
    prepared = prepare(subject.volume, DEFAULT, plane=Plane.CORONAL, side=subject.side)
    found = label_slices(job.segment, _engine(job.segmenter), prepared.volume)
    sites = find_sites(found.labels)
    facts = _who(subject) | {"slices": 0, "plates": _drawn(found.labels, sites), "quality": None}
    if job.with_truth:
        truth = prepared.labels_from_source(subject.labels)
        facts |= truth_beside_measurement(truth, found.labels, sites, drawn=facts["plates"])
    if sites.both_found and len(sites.common_slices) >= job.age.min_slices:
        regions = age_regions(prepared.volume, found.plate_probability, sites, job.age)
        slices = chosen_slices(sites, job.age.max_slices)
        facts |= {"slices": len(regions), "quality": asdict(image_quality(prepared.volume, regions, slices))}
        save_regions(regions_file(folder, subject.seed), SubjectRegions(regions, **_told(subject, facts)))
    replace_file(_facts_file(folder, subject.seed), json.dumps(facts) + "\n")


@lru_cache(maxsize=2)
def _engine(segmenter: Path) -> Engine:
    """Load the segmenter once per process; each process keeps to one core."""
    return Engine(segmenter.read_bytes(), name=segmenter.name, inputs=SEGMENT_INPUTS, threads=1)


def _who(subject: VirtualSubject) -> Facts:
    """Say who a subject is and how it was scanned, with the truth about its growth."""
    age_years, sex, percentiles = subject.chronological_age_years, subject.sex, subject.percentiles
    return {
        "seed": subject.seed,
        "hospital": subject.hospital,
        "weighting": subject.sequence.weighting.value,
        "field_of_view_mm": subject.protocol.pixels * subject.protocol.pixel_mm,
        "pixel_mm": subject.protocol.pixel_mm,
        "slice_spacing_mm": subject.protocol.spacing_mm,
        "sex": sex.value,
        "chronological_age_years": age_years,
        "height_cm": height_cm(age_years, sex, percentiles.height),
        "weight_kg": weight_kg(age_years, sex, percentiles.weight),
        "percentiles": asdict(percentiles),
        "latents": asdict(subject.latents),
        "findings": [finding.kind.value for finding in subject.findings],
        "true_stages": _true_stages(subject),
    }


def _true_stages(subject: VirtualSubject) -> dict[str, dict[str, str]]:
    """Grade the true plates, by site."""
    plates = {DISTAL_FEMUR.name: subject.latents.femur, PROXIMAL_TIBIA.name: subject.latents.tibia}
    return {
        name: {"dedouit": dedouit(plate).value, "schmeling_kellinghaus": schmeling_kellinghaus(plate).value}
        for name, plate in plates.items()
    }


def _drawn(labels: Volume, sites: SitesSeen) -> dict[str, Facts]:
    """Measure both plates as they are drawn, thickness not corrected."""
    return {
        site.name: {
            "found": measure_plate(labels, site, sites.of(site)).model_dump(mode="json"),
            "scar_share": scar_share(labels, site, sites.of(site)),
        }
        for site in PLATE_SITES
    }


def _told(subject: VirtualSubject, facts: Facts) -> Facts:
    """Give what the age model is told, and its age."""
    weighting, plates = facts["weighting"], facts["plates"]
    known = subject_facts(
        subject.sex, height_cm=facts["height_cm"], weight_kg=facts["weight_kg"], weighting=weighting
    ) | plate_facts({name: PlateReport.model_validate(plate["found"]) for name, plate in plates.items()})
    return {
        "sex": int(subject.sex is Sex.MALE),
        "age_years": subject.chronological_age_years,
        "facts": {name: value for name, value in known.items() if name != "sex"},
    }
