"""Reasons for giving no age."""

from __future__ import annotations

import pytest

from kneeage.core.anatomy import Label, Plane, Sex
from kneeage.core.result import ReasonCode
from kneeage.core.volume import Volume
from kneeage.infer.abstain import plane_reason, sex_reason, site_reasons
from kneeage.infer.region import find_sites
from tests.infer.knees import block_knee, edited, manifest, without

MANIFEST = manifest()
ALL = slice(None)


def codes(knee: Volume) -> list[ReasonCode]:
    return [reason.code for reason in site_reasons(find_sites(knee), MANIFEST.age)]


@pytest.mark.parametrize("found", [None, Plane.CORONAL])
def test_the_plane_fits(found: Plane | None) -> None:
    assert plane_reason(found, MANIFEST) is None


def test_the_plane_does_not_fit() -> None:
    reason = plane_reason(Plane.SAGITTAL, MANIFEST)
    assert reason is not None
    assert reason.code is ReasonCode.WRONG_PLANE
    assert reason.message == "the slices are sagittal; the bundle blocks answers on coronal slices"


@pytest.mark.parametrize("sex", [None, Sex.MALE, Sex.FEMALE])
def test_a_bundle_for_both_sexes_covers_all(sex: Sex | None) -> None:
    assert sex_reason(sex, MANIFEST) is None


def test_a_bundle_for_one_sex_covers_that_sex_alone() -> None:
    only = manifest(sexes=[Sex.MALE])
    assert sex_reason(Sex.MALE, only) is None
    for sex, words in ((Sex.FEMALE, "the subject is female"), (None, "the sex was not given")):
        reason = sex_reason(sex, only)
        assert reason is not None
        assert reason.code is ReasonCode.SEX_NOT_COVERED
        assert reason.message.startswith(f"{words}; the bundle blocks was trained on male subjects only")


@pytest.mark.parametrize("open_columns", [36, 0])
def test_a_whole_knee_has_no_reason(open_columns: int) -> None:
    assert codes(block_knee(open_columns=open_columns)) == []


def test_both_bones_missing_are_two_reasons() -> None:
    assert codes(without(block_knee(), *range(1, 7))) == [ReasonCode.BONE_NOT_SEEN] * 2


def test_a_site_missing() -> None:
    knee = without(block_knee(), Label.PROXIMAL_TIBIA_EPIPHYSIS)
    reasons = site_reasons(find_sites(knee), MANIFEST.age)
    assert [reason.code for reason in reasons] == [ReasonCode.PLATE_SITE_NOT_SEEN]
    assert "the proximal tibia was seen, but not the site" in reasons[0].message


def test_too_few_common_slices() -> None:
    knee = edited(block_knee(), (ALL, slice(0, 45), slice(0, 4)), 0)
    knee = edited(knee, (ALL, slice(52, 96), slice(6, 9)), 0)
    reasons = site_reasons(find_sites(knee), MANIFEST.age)
    assert [reason.code for reason in reasons] == [ReasonCode.TOO_FEW_SLICES]
    assert reasons[0].message == "2 slices show both growth plates' sites; at least 3 are needed"
