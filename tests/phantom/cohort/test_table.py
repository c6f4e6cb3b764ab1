"""The subject table holds the truth, in full and under names with units."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest

from kneeage import __version__
from kneeage.core.anatomy import Sex, Side
from kneeage.phantom.anatomy.findings import Finding, FindingKind
from kneeage.phantom.cohort.body import Percentiles, height_cm, weight_kg
from kneeage.phantom.cohort.subject import HOSPITAL_A, VirtualSubject, virtual_subject
from kneeage.phantom.cohort.table import subject_row, table_text
from kneeage.phantom.growth.stages import dedouit
from tests.phantom.miniature import ONE_PLANE, coarse


@pytest.fixture(scope="module")
def subject() -> VirtualSubject:
    made = virtual_subject(
        9,
        chronological_age_years=14.25,
        sex=Sex.FEMALE,
        side=Side.LEFT,
        hospital=coarse(HOSPITAL_A),
        percentiles=Percentiles(75.5, 25.0),
        imaging=ONE_PLANE,
    )
    return replace(made, findings=(Finding(FindingKind.CYST, "tibia", (0, 0, 0), 3),))


def test_the_row_says_who_and_how(subject: VirtualSubject) -> None:
    row = subject_row(subject, "external", "ab12")
    assert row["subject_id"] == "V000000000009"
    assert (row["subset"], row["site"], row["sex"], row["side"]) == ("external", "A", "female", "left")
    assert (row["chronological_age_years"], row["plane"], row["seed"]) == (14.25, "coronal", 9)
    assert str(row["sequence"]).startswith("T1")
    assert row["height_cm"] == height_cm(14.25, Sex.FEMALE, 75.5)
    assert row["weight_kg"] == weight_kg(14.25, Sex.FEMALE, 25.0)
    assert (row["growth_table_sha256"], row["software_version"]) == ("ab12", __version__)


def test_the_row_holds_latents_stages_and_findings(subject: VirtualSubject) -> None:
    row = subject_row(replace(subject, effusion_mm=0.5), "training", "")
    latents = subject.latents
    assert row["femur_thickness_mm"] == latents.femur.thickness_mm
    assert row["tuberosity_bridged"] == latents.tuberosity.bridged
    assert row["bone_half_width_mm"] == latents.bone_half_width_mm
    assert row["tibia_dedouit"] == dedouit(latents.tibia).value
    assert row["fibula_schmeling_kellinghaus"] in {"2c", "3a", "3b", "3c", "4", "5"}
    flags = {name for name, cell in row.items() if cell is True}
    assert flags == {"has_cyst"}
    assert {f"has_{kind.value}" for kind in FindingKind} <= set(row)


def test_numbers_come_back_from_the_file_as_they_were(subject: VirtualSubject) -> None:
    row = subject_row(subject, "training", "")
    text = table_text([row, row])
    first, second = csv.DictReader(io.StringIO(text))
    assert first == second
    assert "\r" not in text
    assert float(first["femur_scar"]) == subject.latents.femur.scar
    assert (first["has_cyst"], first["has_lesion"], first["fat_suppressed"]) == ("1", "0", "0")


@pytest.mark.parametrize(("effusion_mm", "flagged"), [(0.0, False), (1.9, False), (3.0, True)])
def test_an_effusion_is_flagged_from_two_millimetres(
    subject: VirtualSubject, effusion_mm: float, flagged: bool
) -> None:
    assert subject_row(replace(subject, effusion_mm=effusion_mm), "training", "ab")["has_joint_effusion"] is flagged
