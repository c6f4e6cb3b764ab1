"""The subject table of a virtual cohort: one row per subject, with its truth."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from kneeage import __version__
from kneeage.phantom.anatomy.findings import FindingKind
from kneeage.phantom.cohort.body import height_cm, weight_kg
from kneeage.phantom.cohort.subject import VirtualSubject
from kneeage.phantom.cohort.write import sequence_name
from kneeage.phantom.growth.latents import KneeLatents, PlateLatents
from kneeage.phantom.growth.law import PLATES
from kneeage.phantom.growth.stages import dedouit, schmeling_kellinghaus

Cell = str | int | float | bool
Row = dict[str, Cell]

# Fluid beside the femur that counts as an effusion; thinner films are normal (assumed).
EFFUSION_MM = 2.0


def subject_row(subject: VirtualSubject, subset: str, growth_table_sha256: str) -> Row:
    """Give all that is known of a subject.

    Args:
        subject: The subject.
        subset: What it is for: training, validation or external.
        growth_table_sha256: Hash of the growth law it follows.

    Returns:
        One value per column; units are in the columns' names.
    """
    return {
        "subject_id": subject.subject_id,
        "subset": subset,
        "site": subject.hospital,
        "chronological_age_years": subject.chronological_age_years,
        "sex": subject.sex.value,
        "side": subject.side.value,
        **_imaging(subject),
        **_body(subject),
        **_latents(subject.latents),
        **_stages(subject.latents),
        **_findings(subject),
        "seed": subject.seed,
        "growth_table_sha256": growth_table_sha256,
        "software_version": __version__,
    }


def table_text(rows: Sequence[Mapping[str, Cell]]) -> str:
    """Write rows as CSV, numbers in full and truth values as 0 and 1."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(
        {name: int(cell) if isinstance(cell, bool) else cell for name, cell in row.items()} for row in rows
    )
    return text.getvalue()


def _imaging(subject: VirtualSubject) -> Row:
    """How the knee was scanned."""
    sequence = subject.sequence
    return {
        "plane": subject.plane.value,
        "sequence": sequence_name(sequence),
        "fat_suppressed": sequence.fat_suppressed,
        "volumetric": subject.volumetric,
        "repetition_time_ms": sequence.repetition_time_ms,
        "echo_time_ms": sequence.echo_time_ms,
        "echo_train_length": sequence.echo_train_length,
        "field_strength_tesla": sequence.field_strength_tesla,
        "slice_thickness_mm": subject.protocol.thickness_mm,
    }


def _body(subject: VirtualSubject) -> Row:
    """Height and weight."""
    age_years, sex, percentiles = subject.chronological_age_years, subject.sex, subject.percentiles
    return {
        "height_cm": height_cm(age_years, sex, percentiles.height),
        "weight_kg": weight_kg(age_years, sex, percentiles.weight),
        "height_percentile": percentiles.height,
        "weight_percentile": percentiles.weight,
    }


def _latents(latents: KneeLatents) -> Row:
    """Every latent, those of a plate under the plate's name, such as ``femur_thickness_mm``."""
    row: Row = {}
    for name, value in asdict(latents).items():
        row |= {f"{name}_{part}": own for part, own in value.items()} if isinstance(value, dict) else {name: value}
    return row


def _stages(latents: KneeLatents) -> Row:
    """Skeletal stages of every plate."""
    row: Row = {}
    for name in PLATES:
        plate: PlateLatents = getattr(latents, name)
        row[f"{name}_dedouit"] = dedouit(plate).value
        row[f"{name}_schmeling_kellinghaus"] = schmeling_kellinghaus(plate).value
    return row


def _findings(subject: VirtualSubject) -> Row:
    """One flag per kind of incidental finding, and one for a joint effusion."""
    found = {finding.kind for finding in subject.findings}
    flags: Row = {f"has_{kind.value}": kind in found for kind in FindingKind}
    return flags | {"has_joint_effusion": subject.effusion_mm > EFFUSION_MM}
