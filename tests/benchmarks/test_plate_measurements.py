"""Tests of the measurement of plates beside their latents."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import plate_measurements
from benchmarks.plate_measurements import SITES, columns, label_volume, rounded_error
from kneeage.core.anatomy import Sex, Side
from kneeage.phantom.anatomy.knee import Anatomy, Knee
from kneeage.phantom.cohort.subject import CORONAL_T1, HOSPITAL_A, plan_series, scan
from kneeage.phantom.growth.law import draw_latents
from kneeage.phantom.growth.measured import MeasurementError


def test_one_command_writes_the_table_and_the_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table, errors = tmp_path / "plates.csv", tmp_path / "errors.json"
    monkeypatch.setattr(plate_measurements, "TABLE", table)
    monkeypatch.setattr(plate_measurements, "ERRORS", errors)
    monkeypatch.setattr(sys, "argv", ["plate_measurements", "--knees", "8", "--workers", "2"])
    plate_measurements.main()
    with table.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["knee"] for row in rows] == [str(knee) for knee in range(8) for _ in SITES]
    found = {plate: MeasurementError(**figures) for plate, figures in json.loads(errors.read_text()).items()}
    assert set(found) == set(SITES)
    for plate in SITES:
        own = [dict(row) for row in rows if row["plate"] == plate]
        assert vars(found[plate]) == pytest.approx(rounded_error(own), abs=1e-3)
    assert "r2_thickness" in capsys.readouterr().out


def test_numbers_of_a_table_are_read_by_name() -> None:
    row = {"thickness_mm": "1.5", "bridged": "0", "measured_thickness_mm": "nan", "measured_openness": "0"}
    found = columns([row])
    assert found["thickness_mm"].tolist() == [1.5]
    assert np.isnan(found["measured_thickness_mm"]).all()


def test_labels_lie_where_the_cohort_places_them() -> None:
    protocol = plan_series(1, HOSPITAL_A, CORONAL_T1)
    rng = np.random.default_rng(1)
    knee = Knee(Anatomy.draw(rng), draw_latents(14.0, Sex.MALE, rng))
    found, (_, expected) = label_volume(knee, protocol), scan(knee, protocol, 1, Side.RIGHT)
    assert (found.affine == expected.affine).all()
    assert (found.array == expected.array).all()
