"""``kneeage phantom ceiling``: a table for people, JSON for programs."""

from __future__ import annotations

import json

from kneeage.phantom.growth.table import FROZEN_SHA256
from tests.cli.conftest import Run


def test_ceiling_as_a_table(run: Run) -> None:
    done = run("phantom", "ceiling", "--preset", "table1", "--subjects", "300")
    assert done.exit_code == 0
    assert "exact year" in done.stdout
    assert "cautious false adult at 18" in done.stdout
    assert [name for name in ("latents", "plates", "measured", "body") if f"'{name}'" not in done.stderr] == []
    assert "300 simulated subjects" in done.stderr
    assert "0.0 ± 0.0 %" not in done.stdout


def test_ceiling_as_json(run: Run) -> None:
    done = run("phantom", "ceiling", "--preset", "forensic", "--subjects", "300", "--json")
    found = json.loads(done.stdout)
    assert found["growth_table_sha256"] == FROZEN_SHA256["forensic"]
    image = {"latents", "plates", "measured"}
    assert set(found["readers"]) == image | {"latents and body", "measured and body", "body"}
    assert 0 < found["readers"]["latents"]["exact_year"]["value"] < 1
    assert found["readers"]["measured"]["thresholds"][0]["age_years"] == 12


def test_unknown_preset_is_a_wrong_usage(run: Run) -> None:
    done = run("phantom", "ceiling", "--preset", "table2")
    assert done.exit_code == 2
    assert "--preset takes table1, table1-tight, forensic; found 'table2'" in done.stderr
