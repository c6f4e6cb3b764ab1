"""The real series: read from the folder that KNEEAGE_REALDATA names, skipped where it is unset."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kneeage.core.anatomy import Plane, Side
from kneeage.core.errors import AmbiguousSeriesError, GeometryError, UndecodableError
from kneeage.io.dicom import read_instance
from kneeage.io.item import SourceItem
from kneeage.io.pixels import decode_frames
from kneeage.io.read import list_candidates, load, survey


def _decode(path: Path) -> np.ndarray:
    instance = read_instance(SourceItem(path.name, lambda: path.open("rb")))
    assert instance is not None
    out = np.empty((len(instance.frames), instance.rows, instance.columns), np.float32)
    decode_frames(instance, instance.frames, list(out))
    return out


def test_all_transfer_syntaxes_decode_to_the_same_pixels(realdata: Path) -> None:
    decoded = [_decode(path) for path in sorted((realdata / "transfer_syntaxes").glob("*.dcm"))]
    assert len(decoded) == 9
    assert decoded[0].shape == (1, 384, 384)
    assert decoded[0].std() > 0
    for other in decoded[1:]:
        np.testing.assert_array_equal(other, decoded[0])


def test_all_enhanced_encodings_decode_to_the_same_pixels(realdata: Path) -> None:
    paths = sorted(p for p in (realdata / "enhanced_mr").glob("*.dcm") if "too_short" not in p.name)
    decoded = [_decode(path) for path in paths]
    assert len(decoded) == 5
    assert decoded[0].shape == (10, 64, 64)
    for other in decoded[1:]:
        np.testing.assert_array_equal(other, decoded[0])


def test_the_enhanced_file_that_was_cut_is_refused_by_name(realdata: Path) -> None:
    with pytest.raises(UndecodableError, match=r"emri_small_jpeg_2k_lossless_too_short\.dcm' is cut short"):
        load(realdata / "enhanced_mr" / "emri_small_jpeg_2k_lossless_too_short.dcm")


def test_an_enhanced_file_without_positions_is_refused(realdata: Path) -> None:
    with pytest.raises(GeometryError, match=r"emri_small\.dcm, frame 1 has no valid Image Position"):
        load(realdata / "enhanced_mr" / "emri_small.dcm")


def test_the_whole_folder_is_listed(realdata: Path) -> None:
    found = survey(realdata)
    best, *others = found.candidates
    assert (best.header.description, best.rank, best.suitable) == ("T1W_aTSE", 1, True)
    assert best.reasons[:3] == ("knee", "T1-weighted (spin echo, TR 581 ms, TE 20 ms)", "coronal")
    assert not any(candidate.suitable for candidate in others)
    assert len(others) == 11
    assert found.foreign == 2
    assert len(found.unreadable) == 1


def test_the_mosaic_and_the_head_are_unsuitable(realdata: Path) -> None:
    (mosaic,) = list_candidates(realdata / "transfer_syntaxes")
    (head,) = list_candidates(realdata / "enhanced_mr")
    assert not mosaic.suitable
    assert any("mosaic" in reason for reason in mosaic.reasons)
    assert not head.suitable
    assert "body part HEAD, not a knee" in head.reasons


def test_the_coronal_t1_is_loaded(realdata: Path) -> None:
    loaded = load(realdata / "knee_t1_coronal_philips")
    assert loaded.volume.shape == (512, 512, 24)
    assert loaded.volume.orientation == "LIP"
    assert loaded.volume.spacing == pytest.approx((0.3125, 0.3125, 3.8), abs=1e-5)
    assert (loaded.plane, loaded.header.weighting) == (Plane.CORONAL, "T1")
    assert (loaded.header.side, loaded.header.side_source) == (Side.LEFT, "performed procedure")
    assert not loaded.header.virtual


def test_the_t1_wins_over_the_t2_of_its_study(realdata: Path, tmp_path: Path) -> None:
    for name in ("knee_t1_coronal_philips", "knee_t2_sagittal_philips"):
        (tmp_path / name).mkdir()
        for path in (realdata / name).iterdir():
            (tmp_path / name / path.name).symlink_to(path.resolve())
    assert load(tmp_path).header.description == "T1W_aTSE"


def test_the_t2_is_not_read_as_t1(realdata: Path) -> None:
    folder = realdata / "knee_t2_sagittal_philips"
    for path in (folder, folder / "IM-0001-0005.dcm"):
        with pytest.raises(AmbiguousSeriesError, match="T2-weighted, not T1"):
            load(path)


def test_the_ge_series_is_split_into_8_echoes_of_24_slices(realdata: Path) -> None:
    found = list_candidates(realdata / "knee_multiecho_sagittal_ge")
    assert [candidate.key.rpartition("#")[2] for candidate in found] == [f"echo{n}" for n in range(1, 9)]
    assert {candidate.header.shape for candidate in found} == {(256, 256, 24)}
    assert {candidate.header.plane for candidate in found} == {Plane.SAGITTAL}
    times = [candidate.header.acquisition.echo_time_ms for candidate in found]
    assert times == sorted(times)
    loaded = load(realdata / "knee_multiecho_sagittal_ge", series=found[2].key)
    assert loaded.volume.shape == (256, 256, 24)
    assert loaded.volume.spacing[2] == pytest.approx(4, abs=0.02)
