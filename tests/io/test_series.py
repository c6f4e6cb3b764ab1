from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pydicom.dataset import FileDataset

from kneeage.core.anatomy import Side
from kneeage.core.errors import GeometryError
from kneeage.core.manifest import VIRTUAL_IMAGE_MARK
from kneeage.io.read import list_candidates, load
from kneeage.io.series import NO_UID
from tests.io.support import SAGITTAL, Made, write_series


def _keys(path: Path) -> list[str]:
    return sorted(candidate.key for candidate in list_candidates(path))


@pytest.mark.parametrize(
    ("second", "suffix"),
    [
        (Made().but(EchoNumbers=2, EchoTime=90), "echo"),
        (Made().but(EchoTime=16.2), "echo"),
        (Made(orientation=SAGITTAL), "stack"),
        (Made().but(ImageType=["ORIGINAL", "PRIMARY", "P"]), "type"),
        (Made(shape=(8, 8)), "matrix"),
        (Made().but(TemporalPositionIdentifier=2), "time"),
        (Made().but(PatientID="another"), "subject"),
    ],
)
def test_one_volume_is_one_contrast(tmp_path: Path, second: Made, suffix: str) -> None:
    write_series(tmp_path / "a")
    write_series(tmp_path / "b", second)
    assert _keys(tmp_path) == [f"1.2.3#{suffix}1", f"1.2.3#{suffix}2"]
    assert [candidate.header.shape[2] for candidate in list_candidates(tmp_path)] == [12, 12]


def test_echoes_are_numbered_by_their_time(tmp_path: Path) -> None:
    write_series(tmp_path / "a", Made().but(EchoTime=90))
    write_series(tmp_path / "b", Made().but(EchoTime=15))
    assert load(tmp_path, series="1.2.3#echo1").header.acquisition.echo_time_ms == 15


def test_jitter_of_the_echo_time_splits_nothing(tmp_path: Path) -> None:
    def jitter(one: FileDataset, k: int) -> None:
        one.EchoTime = 15 + 0.03 * k

    write_series(tmp_path, edit=jitter)
    assert _keys(tmp_path) == ["1.2.3"]


def test_temporal_positions_that_number_slices_split_nothing(tmp_path: Path) -> None:
    def number(one: FileDataset, k: int) -> None:
        one.TemporalPositionIdentifier = k + 1

    write_series(tmp_path, edit=number)
    assert _keys(tmp_path) == ["1.2.3"]


def test_two_reasons_to_split_are_both_in_the_key(tmp_path: Path) -> None:
    for echo in (15, 90):
        for kind in ("M", "P"):
            made = Made(slices=2).but(EchoTime=echo, ImageType=["ORIGINAL", "PRIMARY", kind])
            write_series(tmp_path / f"{echo}{kind}", made)
    assert _keys(tmp_path) == [f"1.2.3#type{n}-echo{m}" for n in (1, 2) for m in (1, 2)]


def test_a_series_without_uid_has_a_key(tmp_path: Path) -> None:
    write_series(tmp_path, Made().but(SeriesInstanceUID=None))
    assert _keys(tmp_path) == [NO_UID]


def test_the_header_holds_what_reports_need(tmp_path: Path) -> None:
    made = Made().but(MagneticFieldStrength="1.5", Manufacturer="Maker", Laterality="R")
    write_series(tmp_path, made)
    header = load(tmp_path).header
    assert (header.source_format, header.series_uid, header.study_uid) == ("dicom", "1.2.3", "1.2")
    assert (header.field_strength_tesla, header.manufacturer, header.virtual) == (1.5, "Maker", False)
    assert (header.side, header.side_source) == (Side.RIGHT, "Laterality")
    assert (header.shape, header.files, header.description) == ((8, 6, 12), 12, "cor t1")


def test_a_virtual_image_says_so(tmp_path: Path) -> None:
    write_series(tmp_path, Made().but(Manufacturer=VIRTUAL_IMAGE_MARK))
    assert load(tmp_path).header.virtual


def test_a_mosaic_is_unsuitable(tmp_path: Path) -> None:
    write_series(tmp_path, Made().but(ImageType=["ORIGINAL", "PRIMARY", "M", "MOSAIC"]))
    (found,) = list_candidates(tmp_path)
    assert not found.suitable
    assert "mosaic" in found.reasons[0]


def test_a_loaded_series_without_a_plane_is_refused(tmp_path: Path) -> None:
    write_series(tmp_path)
    loaded = load(tmp_path)
    with pytest.raises(GeometryError, match="plane is unknown"):
        _ = replace(loaded, header=replace(loaded.header, plane=None)).plane
