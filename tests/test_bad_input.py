"""Every bad input, as a user meets it: one clear sentence, its exit code, nothing left behind."""

from __future__ import annotations

import gzip
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from pydicom.dataset import FileDataset
from pydicom.uid import CTImageStorage
from typer.testing import CliRunner, Result

from kneeage.cli.app import app
from kneeage.cli.speak import set_loudness
from kneeage.io.archive import RATIO_FREE_BYTES
from kneeage.io.bundle import Bundle
from kneeage.io.nifti import write_image
from tests.infer.knees import AFFINE, as_image, block_knee
from tests.io.support import AXIAL, CORONAL, SAGITTAL, Made, write_series
from tests.test_pipeline import make_bundle

# A warning of numpy would be a second thing said.
pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")

Make = Callable[[Path], Path]
RGB = {
    "SamplesPerPixel": 3,
    "PhotometricInterpretation": "RGB",
    "PlanarConfiguration": 0,
    "PixelData": bytes(6 * 8 * 3),
}


@pytest.fixture(scope="module")
def blocks(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    recipe = {"name": "blocks", "steps": [{"step": "orient"}, {"step": "resample", "spacing_mm": 1.0}]}
    return make_bundle(tmp_path_factory.mktemp("bundles") / "blocks", recipe=recipe)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The folder that outputs go to."""
    folder = tmp_path / "place"
    folder.mkdir()
    return folder


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The folder that inputs are made in."""
    folder = tmp_path / "source"
    folder.mkdir()
    return folder


def run(*arguments: object) -> Result:
    set_loudness(quiet=False, verbosity=0)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def series(made: Made, change: Callable[[FileDataset, int], None] | None = None) -> Make:
    def make(folder: Path) -> Path:
        write_series(folder, made, change)
        return folder

    return make


def changed(change: Callable[[list[Path]], object]) -> Make:
    """A sound series of 12 slices whose files are tampered with."""

    def make(folder: Path) -> Path:
        change(write_series(folder))
        return folder

    return make


def cut(lost: int | None = None, kept: int | None = None) -> Make:
    """A series whose fifth file is cut short."""

    def shorten(paths: list[Path]) -> None:
        raw = paths[4].read_bytes()
        paths[4].write_bytes(raw[:kept] if lost is None else raw[:-lost])

    return changed(shorten)


def text_files(folder: Path) -> Path:
    (folder / "notes.txt").write_text("words " * 500)
    (folder / "empty.txt").write_text("")
    return folder


def two_subjects(folder: Path) -> Path:
    write_series(folder / "a", Made(uid="1.2.7"))
    write_series(folder / "b", Made(uid="1.2.8", orientation=SAGITTAL).but(PatientID="secret-4712"))
    return folder


def localizers(folder: Path) -> Path:
    for n, orientation in enumerate((AXIAL, SAGITTAL, CORONAL)):
        write_series(folder / str(n), Made(slices=3, orientation=orientation))
    return folder


def nifti(values: np.ndarray, affine: np.ndarray = AFFINE, **header: Any) -> Make:
    """A NIfTI file; header fields are written over what the values say."""

    def make(folder: Path) -> Path:
        image = nib.Nifti1Image(values, affine)
        path = folder / "knee.nii.gz"
        nib.save(image, path)
        if header:
            patch(path, header)
        return path

    return make


def patch(path: Path, fields: dict[str, Any]) -> None:
    """Write other header fields before the same values."""
    raw = gzip.decompress(path.read_bytes())
    written = nib.Nifti1Header(raw[:348], check=False)
    for name, value in fields.items():
        written[name] = value
    path.write_bytes(gzip.compress(written.binaryblock + raw[348:]))


def grey(shape: tuple[int, ...] = (6, 7, 8), dtype: type = np.float32) -> np.ndarray:
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


def holding(value: float) -> np.ndarray:
    values = grey()
    values[1, 2, 3] = value
    return values


def archive(*members: tuple[str, bytes]) -> Make:
    def make(folder: Path) -> Path:
        with zipfile.ZipFile(folder / "study.zip", "w", zipfile.ZIP_DEFLATED) as packed:
            for name, content in members:
                packed.writestr(name, content)
        return folder / "study.zip"

    return make


REFUSED: dict[str, tuple[Make, str]] = {
    "nothing": (lambda folder: folder / "gone", "'gone' is not there"),
    "empty folder": (lambda folder: folder, "there is no file in it"),
    "text files only": (text_files, "none of the 2 files is a DICOM image or a NIfTI file"),
    "truncated file": (cut(kept=500), "'1.2.3-005.dcm' is cut short"),
    "truncated pixel data": (cut(lost=40), "'1.2.3-005.dcm': its pixel data"),
    "missing slice": (changed(lambda paths: paths[5].unlink()), "a slice is missing between slice 5"),
    "duplicated slice": (
        changed(lambda paths: shutil.copy(paths[5], paths[5].with_name("copy.dcm"))),
        "are at the same position",
    ),
    "two subjects": (two_subjects, "images of 2 subjects"),
    "localizers only": (localizers, "no series is suitable"),
    "ct": (series(Made().but(Modality="CT", SOPClassUID=CTImageStorage)), "its modality is CT"),
    "rgb": (series(Made().but(**RGB, BitsAllocated=8, BitsStored=8, HighBit=7)), "its pixels are RGB"),
    "constant dicom": (series(Made().but(PixelData=b"\x07\0" * 48)), "constant: every pixel is 7"),
    "constant nifti": (nifti(np.full((6, 7, 8), 3, np.int16)), "constant: every pixel is 3"),
    "nan": (nifti(holding(np.nan)), "NaN or infinite values"),
    "infinite": (nifti(holding(-np.inf)), "NaN or infinite values"),
    "beyond float32": (nifti(np.where(grey() > 9, 1e200, 1.0)), "NaN or infinite values"),
    "scaled beyond float32": (
        nifti(grey(dtype=np.int16), scl_slope=3e38, scl_inter=0),
        "NaN or infinite values",
    ),
    "4-d": (nifti(grey((4, 5, 6, 2))), "has the shape (4, 5, 6, 2); one 3-D image is needed"),
    "absurd matrix": (series(Made(slices=1).but(Rows=65535, Columns=65535)), "the limit is 4096"),
    "absurd frame count": (series(Made(slices=1).but(NumberOfFrames=2_000_000_000)), "the limit is 10000"),
    "absurd nifti matrix": (nifti(grey(), dim=[3, 32000, 32000, 32000, 1, 1, 1, 1]), "the limit is 268435456"),
    "absurd pixel spacing": (series(Made(spacing=(1e200, 1e200))), "the limit of 100 mm"),
    "absurd field of view": (series(Made(spacing=(90.0, 90.0), shape=(64, 64))), "the limit is 4096 along each"),
    "absurd voxel size": (nifti(grey(), AFFINE @ np.diag([3e4, 3e4, 3e4, 1])), "more than 100 mm"),
    "names that lead outside": (archive(("../evil.dcm", b"x")), "name leads outside of it"),
    "zip bomb": (archive(("a.dcm", bytes(RATIO_FREE_BYTES + 1))), "times its size; the limit is 100 times"),
}


@pytest.mark.parametrize(("make", "words"), REFUSED.values(), ids=REFUSED)
def test_estimate_refuses(blocks: Bundle, source: Path, place: Path, make: Make, words: str) -> None:
    done = run("estimate", make(source), "-o", place / "out", "--bundle", blocks.folder, "--json")
    require_one_sentence(done, 3, words)
    assert json.loads(done.stdout)["outcome"] == "refused"
    assert names(place) == []


@pytest.mark.parametrize(("make", "words"), REFUSED.values(), ids=REFUSED)
def test_segment_refuses(blocks: Bundle, source: Path, place: Path, make: Make, words: str) -> None:
    done = run("segment", make(source), "-o", place / "labels.nii.gz", "--bundle", blocks.folder)
    require_one_sentence(done, 3, words)
    assert done.stdout == ""
    assert names(place) == []


def test_an_unreadable_file_is_refused(
    blocks: Bundle, source: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_series(source)
    opened = Path.open

    def refuse(path: Path, *args: Any, **kwargs: Any) -> Any:
        if path.name == "1.2.3-012.dcm":
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *args, **kwargs)

    monkeypatch.setattr(Path, "open", refuse)
    done = run("estimate", source, "-o", place / "out", "--bundle", blocks.folder)
    require_one_sentence(done, 3, "cannot read '1.2.3-012.dcm': Permission denied")
    assert names(place) == []


# The machine is at fault, not the input.


@pytest.fixture
def knee(source: Path) -> Path:
    """A sound input."""
    write_image(source / "knee.nii.gz", as_image(block_knee()))
    return source / "knee.nii.gz"


def test_a_sound_input_is_answered(blocks: Bundle, knee: Path, place: Path) -> None:
    assert run("estimate", knee, "-o", place / "out", "--bundle", blocks.folder, "--sex", "male").exit_code == 0
    assert names(place) == ["out"]
    assert run("segment", knee, "-o", place / "labels.nii.gz", "--bundle", blocks.folder).exit_code == 0
    assert names(place) == ["labels.nii.gz", "out"]


@pytest.mark.parametrize(("command", "name"), [("estimate", "out"), ("segment", "labels.nii.gz")])
def test_an_output_that_cannot_be_made(blocks: Bundle, knee: Path, place: Path, command: str, name: str) -> None:
    (place / "file").write_text("mine")
    done = run(command, knee, "-o", place / "file" / name, "--bundle", blocks.folder)
    require_one_sentence(done, 1, "choose another output place")
    assert names(place) == ["file"]
    assert (place / "file").read_text() == "mine"


@pytest.mark.parametrize("above", ["", "deep"])
@pytest.mark.parametrize(("command", "name"), [("estimate", "out"), ("segment", "labels.nii")])
def test_a_full_disk(blocks: Bundle, knee: Path, small_disk: Path, command: str, name: str, above: str) -> None:
    (small_disk / "filler").write_bytes(bytes(40_000))
    done = run(command, knee, "-o", small_disk / above / name, "--bundle", blocks.folder)
    require_one_sentence(done, 1, "the disk is full")
    assert names(small_disk) == ["filler"]


def require_one_sentence(done: Result, code: int, words: str) -> None:
    """Check the exit code, and that nothing but one message about no subject was said."""
    assert done.exit_code == code, done.stderr
    first, *more = done.stderr.splitlines()
    assert first.startswith("kneeage: ")
    assert words in first
    # Only a choice of series is told on further lines.
    assert not more or "choose one with --series" in first
    for unsaid in ("Traceback", "unexpected failure", "secret", "Nobody"):
        assert unsaid not in done.output
