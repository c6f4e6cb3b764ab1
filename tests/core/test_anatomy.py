"""The labels are a permanent contract."""

from __future__ import annotations

import pytest

from kneeage.core.anatomy import LABEL_COLOURS, LABEL_SNOMED, PLATE_SITES, Label, Plane, PlateSite, Sex, Side


def test_label_values_are_permanent() -> None:
    assert {label.name.lower(): label.value for label in Label} == {
        "background": 0,
        "distal_femur_physis": 1,
        "proximal_tibia_physis": 2,
        "distal_femur_epiphysis": 3,
        "distal_femur_metaphysis": 4,
        "proximal_tibia_epiphysis": 5,
        "proximal_tibia_metaphysis": 6,
        "proximal_fibula": 7,
        "patella": 8,
        "distal_femur_physeal_scar": 9,
        "proximal_tibia_physeal_scar": 10,
        "tibial_tuberosity_physis": 11,
    }


def test_every_label_has_its_own_colour() -> None:
    assert set(LABEL_COLOURS) == set(Label)
    assert len(set(LABEL_COLOURS.values())) == len(Label)


def test_every_label_but_the_background_has_a_snomed_code() -> None:
    assert set(LABEL_SNOMED) == set(Label) - {Label.BACKGROUND}


@pytest.mark.parametrize("label", LABEL_SNOMED)
def test_snomed_code_is_the_one_dicom_uses(label: Label) -> None:
    from pydicom.sr.codedict import codes

    code, meaning = LABEL_SNOMED[label]
    concepts = {getattr(codes.SCT, name).value for name in codes.SCT.dir(meaning.replace(" ", ""))}
    assert code in concepts


@pytest.mark.parametrize("site", PLATE_SITES, ids=lambda site: site.name)
def test_site_s_labels_share_its_bone(site: PlateSite) -> None:
    assert all(label.name.lower().startswith(site.name) for label in site.bone)


@pytest.mark.parametrize("site", PLATE_SITES, ids=lambda site: site.name)
def test_bone_is_plate_scar_and_both_sides(site: PlateSite) -> None:
    assert site.bone == (site.open_plate, site.scar, site.epiphysis, site.metaphysis)


def test_written_words() -> None:
    assert [plane.value for plane in Plane] == ["coronal", "sagittal", "axial"]
    assert [side.value for side in Side] == ["left", "right", "unknown"]
    assert [sex.value for sex in Sex] == ["male", "female"]
