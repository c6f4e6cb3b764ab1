"""Typical knees are chosen, painted and kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kneeage.core.anatomy import Sex
from kneeage.core.workers import in_turn
from kneeage.learn.virtual_bundle import VirtualBundleSettings
from kneeage.phantom.anatomy.knee import Anatomy
from kneeage.phantom.cohort import subject as subject_module
from kneeage.phantom.cohort.subject import Purpose, stream
from kneeage.report.reference import ReferenceKnee, packed, unpacked
from kneeage.study import reference_knees
from kneeage.study.reference_knees import GROUPS, PICTURE_SHAPE, Group, make_reference_knees, typical_seed

GIRL, MAN = Group(Sex.FEMALE, 10), Group(Sex.MALE, 24)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of a girl and of a man."""
    place = tmp_path_factory.mktemp("pictures")
    paint(place)
    return place


def paint(folder: Path, **more: object) -> bytes:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reference_knees, "on_cores", lambda work, items, _workers: in_turn(work, items))
        return make_reference_knees(folder, (GIRL, MAN), **more)


def test_there_is_one_for_each_sex_and_completed_year() -> None:
    assert len({(group.sex, group.completed_years) for group in GROUPS}) == len(GROUPS) == 36
    assert (GROUPS[0].age_years, GROUPS[-1].age_years) == (8.5, 25.5)


def test_no_cohort_holds_their_seeds() -> None:
    seeds = [seed for group in GROUPS for seed in group.seeds]
    assert len(set(seeds)) == len(seeds)
    cohorts = VirtualBundleSettings().people().values()
    assert not set(seeds) & {person.seed for people in cohorts for person in people}


@pytest.mark.parametrize("group", [Group(Sex.MALE, 13), Group(Sex.FEMALE, 16), MAN])
def test_the_typical_knee_is_near_the_medians_and_has_no_finding(group: Group) -> None:
    seed = typical_seed(group)
    everyone = np.array([reference_knees._measures(reference_knees._latents(group, each)) for each in group.seeds])
    away = np.abs(everyone[group.seeds.index(seed)] - np.median(everyone, axis=0))
    assert (away <= everyone.std(axis=0)).all()
    assert not Anatomy.draw(stream(seed, Purpose.ANATOMY)).findings


def test_who_has_a_finding_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    nearest, draw = typical_seed(MAN), Anatomy.draw
    first = iter([True])
    monkeypatch.setattr(Anatomy, "draw", staticmethod(lambda rng: draw(rng, 1e9 if next(first, False) else 0.0)))
    assert typical_seed(MAN) != nearest


def test_growth_is_that_of_the_painted_subject(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject_module, "scan", lambda *_, **__: (None, None))
    seed = typical_seed(GIRL)
    subject = reference_knees._subject(GIRL, seed)
    assert subject.latents == reference_knees._latents(GIRL, seed)
    assert (subject.sex, subject.chronological_age_years, subject.hospital) == (Sex.FEMALE, 10.5, "A")


def test_pictures_show_knees_and_travel_in_the_file(folder: Path) -> None:
    knees = unpacked(paint(folder))
    assert [(knee.sex, knee.age_years) for knee in knees] == [(Sex.FEMALE, 10.5), (Sex.MALE, 24.5)]
    for knee in knees:
        assert knee.picture.shape == PICTURE_SHAPE
        assert (knee.picture.min(), knee.picture.max()) == (0, 255)
        assert knee.picture[80:112, 60:132].mean() > 50


def test_a_broken_off_making_goes_on_and_gives_the_same_file(folder: Path) -> None:
    whole, told = paint(folder), []
    kept = MAN.file(folder).stat().st_mtime_ns
    GIRL.file(folder).unlink()
    assert paint(folder, tell=lambda *counts: told.append(counts)) == whole
    assert MAN.file(folder).stat().st_mtime_ns == kept
    assert told == [(1, 2), (2, 2)]


def test_bones_look_the_same_whatever_the_fat_does() -> None:
    bones = np.linspace(0, 1000, 100, dtype=np.float32)
    dark, bright = (
        reference_knees._grey(np.concatenate([bones, np.full(100, fat, np.float32)]), bones=bones)
        for fat in (500.0, 4000.0)
    )
    assert (dark[:100] == bright[:100]).all()
    assert (dark[0], dark[99], bright[-1]) == (0, 255, 255)


def test_the_file_is_small_whatever_the_pictures_show() -> None:
    rng = np.random.default_rng(1)
    noise = (rng.random(PICTURE_SHAPE, dtype=np.float32) for _ in GROUPS)
    knees = [ReferenceKnee(9.5, Sex.MALE, reference_knees._grey(values, bones=values)) for values in noise]
    assert len(packed(knees)) < 1_000_000
