"""The manifest of a bundle: its shares and edges fit each other."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from kneeage.core.manifest import BUNDLE_SCHEMA_VERSION, BodyRange, BundleManifest


@pytest.fixture
def fields() -> dict[str, Any]:
    """The smallest manifest, as JSON would hold it."""
    return {
        "name": "small",
        "version": "1",
        "population": "virtual",
        "licence": "Apache-2.0",
        "plane": "coronal",
        "sexes": ["male"],
        "age_range_years": [8, 26],
        "age_edges_years": [8, 14, 20, 26],
        "labels": {"background": 0, "distal_femur_physis": 1},
        "recipe": {"name": "default"},
        "segment": {"file": "segment.onnx", "label_values": [0, 1]},
        "age": {"file": "age.onnx", "region_shape": [128, 128], "max_slices": 8, "min_slices": 2},
        "training_split_sha256": "0" * 64,
    }


def test_manifest_survives_json(fields: dict[str, Any]) -> None:
    manifest = BundleManifest.model_validate(fields)
    assert BundleManifest.model_validate_json(manifest.model_dump_json()) == manifest
    assert manifest.schema_version == BUNDLE_SCHEMA_VERSION


@pytest.mark.parametrize(("population", "virtual"), [("virtual", True), ("Shanghai 2015-2020", False)])
def test_only_a_virtual_population_is_virtual(fields: dict[str, Any], population: str, virtual: bool) -> None:
    assert BundleManifest.model_validate(fields | {"population": population}).is_virtual is virtual


@pytest.mark.parametrize("edges", [[8, 14, 14, 26], [26, 14, 8]])
def test_edges_that_do_not_rise_are_refused(fields: dict[str, Any], edges: list[float]) -> None:
    with pytest.raises(ValidationError, match="age_edges_years must rise"):
        BundleManifest.model_validate(fields | {"age_edges_years": edges})


def test_prior_with_one_share_per_bin_is_taken(fields: dict[str, Any]) -> None:
    manifest = BundleManifest.model_validate(fields | {"training_prior": [0.2, 0.3, 0.5]})
    assert manifest.training_prior == [0.2, 0.3, 0.5]


def test_prior_of_another_length_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="one share per age bin"):
        BundleManifest.model_validate(fields | {"training_prior": [0.5, 0.5]})


def test_unknown_key_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        BundleManifest.model_validate(fields | {"lables": {}})


def test_temperature_of_nothing_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="greater than 0"):
        BundleManifest.model_validate(fields | {"calibration": {"temperature": 0}})


@pytest.mark.parametrize("labels", [{"background": 0, "distal_femur_physis": 2}, {"femur": 3}])
def test_labels_of_another_meaning_are_refused(fields: dict[str, Any], labels: dict[str, int]) -> None:
    with pytest.raises(ValidationError, match="labels must keep their permanent values"):
        BundleManifest.model_validate(fields | {"labels": labels})


@pytest.mark.parametrize("values", [[], [1, 0], [0, 1, 1], [0, 12]])
def test_channels_that_are_no_labels_are_refused(fields: dict[str, Any], values: list[int]) -> None:
    segment = {"file": "segment.onnx", "label_values": values}
    with pytest.raises(ValidationError, match="different labels, background first"):
        BundleManifest.model_validate(fields | {"segment": segment})


@pytest.mark.parametrize(
    ("height_cm", "weight_kg", "outside"),
    [
        (None, None, set()),
        (115, 20, set()),
        (193, 116, set()),
        (110, 200, {"height_cm", "weight_kg", "body_mass_index"}),
        (75, None, {"height_cm"}),
        (None, 150, {"weight_kg"}),
        (190, 30, {"body_mass_index"}),
        (120, 60, {"body_mass_index"}),
    ],
)
def test_a_body_that_no_training_subject_had(
    fields: dict[str, Any], height_cm: float | None, weight_kg: float | None, outside: set[str]
) -> None:
    assert BundleManifest.model_validate(fields).body_range is None
    bodies = BodyRange(height_cm=(115, 193), weight_kg=(19, 116), body_mass_index=(12, 36))
    assert {*bodies.outside(height_cm, weight_kg)} == outside
