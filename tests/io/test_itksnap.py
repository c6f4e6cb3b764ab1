"""Label descriptions are what ITK-SNAP reads, and say what the labels are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kneeage.core.anatomy import LABEL_COLOURS, Label
from kneeage.core.errors import OutputError
from kneeage.io.itksnap import label_descriptions, write_label_descriptions

# Source: ITK-SNAP, ColorLabelTable::LoadFromFile (index, RGB, alpha, two flags, a quoted name).
LINE = re.compile(r'^\s*(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s+([\d.]+)\s+(\d+)\s+(\d+)\s+"(.*)"$')


def test_every_label_is_described_with_its_value_colour_and_name() -> None:
    lines = [line for line in label_descriptions().splitlines() if not line.startswith("#")]
    found = [match.groups() for match in map(LINE.match, lines) if match]
    assert len(found) == len(lines) == len(Label)
    for label, (value, *colour, alpha, visible, mesh, name) in zip(Label, found, strict=True):
        assert (int(value), name) == (int(label), label.name.lower())
        assert tuple(map(int, colour)) == LABEL_COLOURS[label]
        assert {alpha, visible, mesh} == ({"0"} if label is Label.BACKGROUND else {"1"})


def test_the_file_is_new(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    write_label_descriptions(path)
    assert path.read_bytes() == label_descriptions().encode()
    with pytest.raises(OutputError, match="is there already"):
        write_label_descriptions(path)
