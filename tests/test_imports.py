"""What importing the package loads, and what it does not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import kneeage

_TRAINING = {"torch", "monai", "lightning", "pytorch_lightning", "torchmetrics", "torchvision", "onnx"}
_HEAVY = {"numpy", "pydicom", "nibabel", "scipy", "matplotlib", "onnxruntime", "SimpleITK"}


def _loaded_by(statement: str) -> set[str]:
    """Top-level modules that a fresh interpreter holds after the statement."""
    code = f"import sys, json\n{statement}\nprint(json.dumps(sorted({{m.split('.')[0] for m in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    return set(json.loads(done.stdout))


@pytest.mark.parametrize(
    "statement",
    [
        "import kneeage",
        "import kneeage.cli",
        "import kneeage.pipeline",
        "import kneeage; kneeage.estimate, kneeage.segment, kneeage.load_volume",
    ],
)
def test_serving_loads_no_training_library(statement: str) -> None:
    assert not _loaded_by(statement) & _TRAINING


@pytest.mark.parametrize("statement", ["import kneeage", "import kneeage.cli"])
def test_the_doors_load_nothing_heavy(statement: str) -> None:
    assert not _loaded_by(statement) & _HEAVY


def test_serving_loads_simpleitk_only_in_the_steps_that_need_it() -> None:
    assert "SimpleITK" not in _loaded_by("import kneeage.pipeline")


def test_estimate_is_the_pipeline_s() -> None:
    from kneeage import pipeline

    assert kneeage.estimate is pipeline.estimate


def test_segment_is_the_pipeline_s() -> None:
    from kneeage import pipeline

    assert kneeage.segment is pipeline.segment_file


def test_load_volume_is_the_reader_s() -> None:
    from kneeage.io import read

    assert kneeage.load_volume is read.load


def test_public_names_are_listed() -> None:
    assert dir(kneeage) == ["__version__", "estimate", "load_volume", "segment"]


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'guess'"):
        _ = kneeage.guess


def test_every_room_is_a_package_that_the_linters_see() -> None:
    source = Path(kneeage.__file__).parent
    rooms = {path.parent for path in source.rglob("*.py")}
    assert [str(room.relative_to(source)) for room in sorted(rooms) if not (room / "__init__.py").is_file()] == []
