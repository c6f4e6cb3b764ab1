"""Regions that the ablations learn from: virtual subjects of one hospital, painted once, kept in one folder.

The external group of a cohort is never made. Subjects of the three sequences are the same: only contrast differs.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from kneeage.core.anatomy import Plane, Sex
from kneeage.core.workers import on_cores
from kneeage.infer.engine import Engine
from kneeage.infer.facts import drawn_plate_facts, subject_facts
from kneeage.infer.region import age_regions, find_sites
from kneeage.infer.segment import SEGMENT_INPUTS, label_slices
from kneeage.io.bundle import Bundle, load_bundle
from kneeage.learn.data import SubjectRegions, save_regions
from kneeage.phantom.cohort.body import height_cm, weight_kg
from kneeage.phantom.cohort.presets import PRESETS, Member, Subset, roster
from kneeage.phantom.cohort.subject import Imaging, VirtualSubject, virtual_subject
from kneeage.phantom.scanner.sequence import Weighting
from kneeage.prepare.recipe import load_recipe, prepare

# What the subjects follow from, together with the cohort's name.
COHORT_SEED = 4
Tell = Callable[[int, int], None]


@dataclass(frozen=True)
class Subjects:
    """Who is learnt from and who is judged.

    Args:
        world: Preset of the virtual cohort; its internal hospital alone.
        training: Subjects to learn from.
        validation: Other subjects of the same hospital, evenly spread over the ages.
    """

    world: str
    training: int
    validation: int

    def members(self) -> list[Member]:
        """Give all subjects, by age."""
        whole = PRESETS[self.world]
        inside = tuple(stratum for stratum in whole.strata if stratum.subset is not Subset.EXTERNAL)
        drawn = roster(replace(whole, strata=inside), self.training + self.validation, COHORT_SEED)
        return sorted(drawn, key=lambda member: (member.chronological_age_years, member.seed))

    def groups(self) -> tuple[list[Member], list[Member]]:
        """Give those to learn from, and those that are judged."""
        members = self.members()
        places = np.linspace(0, len(members) - 1, self.validation + 2)[1:-1].round()
        judged = {int(place) for place in places}
        learnt = [member for place, member in enumerate(members) if place not in judged]
        return learnt, [members[place] for place in sorted(judged)]


@dataclass(frozen=True)
class Cut:
    """How subjects are made and cut; it travels to other processes.

    Args:
        folder: Folder of the regions.
        bundle: Bundle whose segmenter finds the plates, and whose stages cut the regions.
        world: Preset of the virtual cohort: its growth law.
        planes_per_slice: Planes painted through each slice.
    """

    folder: Path
    bundle: Path
    world: str
    planes_per_slice: int = 5


@dataclass(frozen=True)
class Task:
    """One subject in one sequence."""

    member: Member
    weighting: Weighting


def make_regions(cut: Cut, members: list[Member], weightings: set[str], workers: int, tell: Tell) -> None:
    """Make the regions of some sequences; those that are there are kept.

    Args:
        cut: How.
        members: Subjects.
        weightings: Sequences.
        workers: Processes.
        tell: Told how many images are made, and how many there are.
    """
    tasks = [Task(member, weighting) for weighting in Weighting if weighting in weightings for member in members]
    missing = [task for task in tasks if not _place(cut, task.weighting, task.member, ".json").exists()]
    done = len(tasks) - len(missing)
    tell(done, len(tasks))
    for number, _ in enumerate(on_cores(partial(make_task, cut), missing, workers), done + 1):
        tell(number, len(tasks))


def make_task(cut: Cut, task: Task) -> None:
    """Make one subject in one sequence and cut it."""
    member = task.member
    subject = virtual_subject(
        member.seed,
        chronological_age_years=member.chronological_age_years,
        sex=member.stratum.sex,
        hospital=member.stratum.hospital,
        growth_table=PRESETS[cut.world].growth,
        imaging=Imaging(weighting=task.weighting, planes_per_slice=cut.planes_per_slice),
        about_the_sites=True,
    )
    bundle = _bundle(cut.bundle)
    prepared = prepare(subject.volume, load_recipe(bundle.manifest.recipe), plane=Plane.CORONAL, side=subject.side)
    found = label_slices(bundle.manifest.segment, _engine(bundle.folder), prepared.volume)
    sites, stage = find_sites(found.labels), bundle.manifest.age
    slices = len(sites.common_slices) if sites.both_found else 0
    if slices >= stage.min_slices:
        regions = age_regions(prepared.volume, found.plate_probability, sites, stage)
        known = (int(subject.sex is Sex.MALE), subject.chronological_age_years, subject.subject_id)
        told = _told(subject) | drawn_plate_facts(found.labels, sites)
        save_regions(_place(cut, task.weighting, member, ".npz"), SubjectRegions(regions, *known, told))
    note = _place(cut, task.weighting, member, ".json")
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(json.dumps({"slices": slices}) + "\n", encoding="utf-8")


def _told(subject: VirtualSubject) -> dict[str, float]:
    """Give what a hospital knows of a subject beside the image and the sex."""
    age_years, sex, percentiles = subject.chronological_age_years, subject.sex, subject.percentiles
    known = subject_facts(
        sex,
        height_cm=height_cm(age_years, sex, percentiles.height),
        weight_kg=weight_kg(age_years, sex, percentiles.weight),
        weighting=subject.sequence.weighting.value,
    )
    return {name: value for name, value in known.items() if name != "sex"}


def files_of(cut: Cut, weighting: str, members: list[Member]) -> list[Path]:
    """List the regions of those subjects that serving would not abstain from."""
    places = [_place(cut, weighting, member, ".npz") for member in members]
    return [place for place in places if place.exists()]


def _place(cut: Cut, weighting: str, member: Member, ending: str) -> Path:
    """Where the regions of a subject lie (``.npz``), and the note, written last, that it is done (``.json``)."""
    return cut.folder / str(weighting) / f"{member.subject_id}{ending}"


@lru_cache(maxsize=1)
def _bundle(folder: Path) -> Bundle:
    """Load the bundle once per process."""
    return load_bundle(folder)


@lru_cache(maxsize=1)
def _engine(folder: Path) -> Engine:
    """Load its segmenter once per process; each process keeps to one core."""
    place = folder / _bundle(folder).manifest.segment.file
    return Engine(place.read_bytes(), name=place.name, inputs=SEGMENT_INPUTS, threads=1)
