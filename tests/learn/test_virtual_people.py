"""Who is in the virtual cohorts of a bundle."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from kneeage.core.anatomy import Sex
from kneeage.learn.virtual_bundle import WINDOWS_YEARS, VirtualBundleSettings
from kneeage.learn.virtual_people import MIXED, boundary_people, uniform_people
from kneeage.phantom.scanner.sequence import Weighting


def test_a_longer_list_begins_with_the_shorter_one() -> None:
    assert uniform_people(7, 5, MIXED) == uniform_people(7, 9, MIXED)[:5]
    assert {person.hospital.name for person in uniform_people(7, 2)} == {
        person.hospital.name for person in uniform_people(7, 4)
    }


def test_weightings_have_their_shares() -> None:
    counts = Counter(person.imaging.weighting for person in uniform_people(0, 600, MIXED))
    assert 0.6 < counts[Weighting.T1] / 600 < 0.8
    assert 0.1 < counts[Weighting.PD] / 600 < 0.2
    assert {person.imaging.weighting for person in uniform_people(0, 20)} == {Weighting.T1}


def test_people_about_a_threshold_are_within_its_window() -> None:
    people = boundary_people(100, 3, [(16.0, 18.0), (18.0, 20.0)])
    assert Counter(person.sex for person in people) == {Sex.FEMALE: 6, Sex.MALE: 6}
    ages = [person.chronological_age_years for person in people]
    assert all(16 <= age < 18 for age in ages[:6])
    assert all(18 <= age < 20 for age in ages[6:])
    assert len({person.seed for person in people}) == 12


@pytest.mark.parametrize("weighting", list(MIXED))
def test_every_weighting_has_every_age_of_a_window(weighting: Weighting) -> None:
    people = boundary_people(100, 2000, [(16.0, 18.0)], MIXED)
    ages = [person.chronological_age_years for person in people if person.imaging.weighting is weighting]
    counts, _ = np.histogram(np.array(ages, float), bins=4, range=(16, 18))
    assert (np.abs(counts / len(ages) - 0.25) < 0.07).all()


def test_windows_lie_on_both_sides_of_every_threshold() -> None:
    assert WINDOWS_YEARS == ((10, 12), (12, 14), (14, 16), (16, 18), (18, 20))


def test_no_subject_is_in_two_cohorts() -> None:
    seeds = [person.seed for people in VirtualBundleSettings().people().values() for person in people]
    assert len(set(seeds)) == len(seeds)
