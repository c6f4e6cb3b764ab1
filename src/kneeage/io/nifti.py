"""NIfTI files: any of the 48 orientations in, labels and grey values out on the same grid.

The header is nibabel's; sizes are checked before a value is read, and the values are read as a stream.
"""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, cast

import nibabel as nib
import numpy as np
from nibabel.imageglobals import LoggingOutputSuppressor
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from kneeage.core.anatomy import Plane, Side
from kneeage.core.errors import GeometryError, InputRefusedError, OutputError, UndecodableError, UsageError
from kneeage.core.manifest import VIRTUAL_IMAGE_MARK
from kneeage.core.volume import FloatArray, Volume
from kneeage.io.finish import finished
from kneeage.io.geometry import MAX_VOXEL_MM
from kneeage.io.item import SourceItem
from kneeage.io.output import whole_file
from kneeage.io.series import MAX_VOXELS, LoadedSeries, SeriesHeader
from kneeage.io.side import NOT_STATED

# Tolerances on the affine, our own choice. Axes whose cosine is below the first value are perpendicular as far as
# single precision can say; below the second (1.1 degrees) they are made so, which moves the corner of a knee by less
# than 1 mm, and it is recorded; beyond it the file is refused.
PERPENDICULAR_COSINE = 1e-4
AFFINE_REPAIR_COSINE = 0.02
# Distance between the corners that sform and qform give; recorded above it.
FORMS_TOLERANCE_MM = 0.1
# Header and extensions of one file; values begin after them.
MAX_VALUES_OFFSET = 64 * 2**20
# Largest difference of a written and re-read affine: NIfTI-1 stores it in single precision.
REREAD_TOLERANCE_MM = 1e-3

# Only parts of nibabel carry types.
_NIB: Any = nib

_SUFFIXES = (".nii", ".nii.gz")
_MAGIC = (b"n+1\0", b"n+2\0\r\n\x1a\n")
_GZIP = b"\x1f\x8b"
_HEADER_BYTES = 540
# The fastest level: label maps shrink a hundredfold at any.
_PACKING_LEVEL = 1
# Values in memory beside their volume while a file is read, in whatever type it holds them.
_CHUNK_VALUES = 2**22
# Source: NIfTI-1 standard, field xyzt_units: 0 unknown, 2 mm.
_KNOWN_UNITS = ("unknown", "mm")
# Source: NIfTI-1 standard, NIFTI_INTENT_LABEL 1002, as nibabel calls it: values are indices into some set of labels.
_LABEL_INTENT = "label"
_PLANE_OF_LETTER = dict(zip("LRAPIS", (Plane.SAGITTAL,) * 2 + (Plane.CORONAL,) * 2 + (Plane.AXIAL,) * 2, strict=True))
_STREAM_ERRORS = (EOFError, OSError, zlib.error)

# What is known about a NIfTI file whose header cannot be used.
UNKNOWN_NIFTI = SeriesHeader(
    source_format="nifti",
    series_uid=None,
    study_uid=None,
    description=None,
    plane=None,
    weighting=None,
    weighting_reason="not stated in NIfTI",
    fat_suppressed=None,
    side=Side.UNKNOWN,
    side_source=NOT_STATED,
    shape=(0, 0, 0),
    spacing_mm=(0.0, 0.0, 0.0),
    field_strength_tesla=None,
    manufacturer=None,
    virtual=False,
)


@dataclass(frozen=True, eq=False)
class NiftiHead:
    """What the header of a file says, checked.

    Args:
        name: File name, for messages.
        header: nibabel's header.
        shape: Columns, rows, slices.
        affine: Repaired affine, RAS+ in mm.
        notes: What was repaired or tolerated.
    """

    name: str
    header: Any = field(repr=False)
    shape: tuple[int, int, int]
    affine: FloatArray = field(repr=False)
    notes: tuple[str, ...] = ()


def is_nifti_name(name: str) -> bool:
    """Say whether a file is called like a NIfTI file."""
    return name.lower().endswith(_SUFFIXES)


def is_nifti_head(head: bytes) -> bool:
    """Say whether a file begins like an uncompressed NIfTI file."""
    return head[344:348] == _MAGIC[0] or head[4:12] == _MAGIC[1]


def read_nifti(path: Path) -> LoadedSeries:
    """Read a NIfTI file as a volume in the orientation of the file.

    Args:
        path: A ``.nii`` or ``.nii.gz`` file.

    Returns:
        The volume, float32, with what little a NIfTI header says.

    Raises:
        InputRefusedError: It is no 3-D grey image, too large, constant, or holds NaN or infinite values.
        GeometryError: Its affine is absent, or departs from perpendicular axes beyond the tolerance.
        UndecodableError: It is damaged or cut short.
    """
    path = Path(path)
    try:
        return load_nifti(SourceItem(path.name, partial(_open_path, path)), ())
    except OSError as error:
        raise InputRefusedError(f"cannot read {path.name!r}: {error.strerror or 'input error'}") from error


def read_values(path: Path, *, grid: Volume | None = None) -> Volume:
    """Read the values of a NIfTI file, whatever they mean: those of a label map may all be the same.

    Args:
        path: A ``.nii`` or ``.nii.gz`` file.
        grid: Where they must lie; the header is compared before a value is read. None: anywhere.

    Returns:
        Scaled values, float32, shape (1, I, J, K), in the orientation of the file.

    Raises:
        InputRefusedError: As for ``read_nifti``, but for values that are constant, NaN or infinite.
        GeometryError: They lie on another grid.
    """
    path = Path(path)
    try:
        with _open_stream(SourceItem(path.name, partial(_open_path, path))) as stream:
            head = _read_head(stream, path.name)
            if grid is not None:
                _require_grid(head, grid)
            stream.seek(0)
            return Volume(_read_values(stream, head)[None], head.affine)
    except OSError as error:
        raise InputRefusedError(f"cannot read {path.name!r}: {error.strerror or 'input error'}") from error


def read_nifti_head(item: SourceItem) -> NiftiHead:
    """Read and check the header of a file.

    Args:
        item: A NIfTI file.

    Returns:
        The checked header.

    Raises:
        InputRefusedError: As for ``read_nifti``.
    """
    with _open_stream(item) as stream:
        return _read_head(stream, item.file_name)


def load_nifti(item: SourceItem, reasons: tuple[str, ...]) -> LoadedSeries:
    """Read a file as a volume.

    Args:
        item: A NIfTI file.
        reasons: Why it was chosen.

    Returns:
        The series.

    Raises:
        InputRefusedError: As for ``read_nifti``.
    """
    with _open_stream(item) as stream:
        head = _read_head(stream, item.file_name)
        stream.seek(0)
        array = _read_values(stream, head)
    return finished(Volume(array[None], head.affine), describe_nifti(head), reasons, head.notes)


def describe_nifti(head: NiftiHead) -> SeriesHeader:
    """Describe a file: geometry is known, contrast and side are not stated in NIfTI."""
    volume = Volume(np.broadcast_to(np.float32(0), (1, *head.shape)), head.affine)
    mark = bytes(head.header["descrip"].tobytes()).rstrip(b"\0")
    return replace(
        UNKNOWN_NIFTI,
        plane=_PLANE_OF_LETTER[volume.orientation[_slice_axis(volume)]],
        shape=head.shape,
        spacing_mm=volume.spacing,
        virtual=mark == VIRTUAL_IMAGE_MARK.encode(),
        label_map=head.header.get_intent()[0] == _LABEL_INTENT,
    )


def write_labels(path: Path, volume: Volume, *, note: str = "") -> None:
    """Write a label map as uint8, and read it back to prove it.

    Args:
        path: A new ``.nii`` or ``.nii.gz`` file.
        volume: Whole numbers from 0 to 255, C = 1.
        note: What the file says of itself in ``descrip``, ASCII; NIfTI has room for 79 characters.

    Raises:
        UsageError: The values are not whole numbers from 0 to 255, C is not 1, or the suffix is another one.
        OutputError: The file exists, cannot be written, or does not read back the same.
    """
    values = np.asarray(volume.array)
    labels = values.astype(np.uint8)
    if not np.array_equal(labels, values):
        raise UsageError("labels must be whole numbers from 0 to 255")
    _write(Path(path), volume, labels, note, intent=_LABEL_INTENT)


def write_image(path: Path, volume: Volume, *, virtual: bool = False) -> None:
    """Write grey values as float32, and read them back to prove them.

    Args:
        path: A new ``.nii`` or ``.nii.gz`` file.
        volume: Grey values, C = 1.
        virtual: Mark it as made by the virtual cohort.

    Raises:
        UsageError: C is not 1, or the suffix is another one.
        OutputError: The file exists, cannot be written, or does not read back the same.
    """
    _write(Path(path), volume, np.asarray(volume.array, dtype=np.float32), VIRTUAL_IMAGE_MARK if virtual else "")


def _open_path(path: Path) -> BinaryIO:
    """Open a file for reading."""
    return path.open("rb")


@contextmanager
def _open_stream(item: SourceItem) -> Iterator[BinaryIO]:
    """Open a file and look through its compression."""
    with item.open() as handle:
        is_packed = handle.read(2) == _GZIP
        handle.seek(0)
        if is_packed:
            with gzip.GzipFile(fileobj=handle) as stream:
                yield cast(BinaryIO, stream)
        else:
            yield handle


def _read_head(stream: BinaryIO, name: str) -> NiftiHead:
    """Read and check the header of an open file."""
    header = _parse(_read_at_most(stream, _HEADER_BYTES, name), name)
    shape = _checked_shape(header, name)
    _require_grey_values(header, name)
    stated, form_notes = _stated_affine(header, shape, name)
    affine, repair_notes = _repaired(stated, shape, name)
    return NiftiHead(name, header, shape, affine, (*form_notes, *repair_notes))


def _parse(raw: bytes, name: str) -> Any:
    """Let nibabel parse the header bytes, without their extensions."""
    kind = _NIB.Nifti2Header if raw[4:8] == _MAGIC[1][:4] else _NIB.Nifti1Header
    if not is_nifti_head(raw) or len(raw) < kind.sizeof_hdr:
        raise UndecodableError(f"{name!r} is not a whole NIfTI file (.nii or .nii.gz); convert the series again")
    try:
        with LoggingOutputSuppressor():
            return kind(raw[: kind.sizeof_hdr])
    except (HeaderDataError, ValueError) as error:
        raise UndecodableError(f"{name!r} has a damaged NIfTI header; convert the series again") from error


def _checked_shape(header: Any, name: str) -> tuple[int, int, int]:
    """Refuse anything but one 3-D image of a possible size, before anything is allocated."""
    shape = tuple(int(n) for n in header.get_data_shape())
    if len(shape) < 2 or any(n > 1 for n in shape[3:]):
        raise InputRefusedError(f"{name!r} has the shape {shape}; one 3-D image is needed; choose one volume of it")
    columns, rows, slices = (*shape, 1)[:3]
    if min(shape) < 1 or math.prod(shape) > MAX_VOXELS:
        raise InputRefusedError(f"{name!r} states {shape} voxels; the limit is {MAX_VOXELS} in all, each above 0")
    return (columns, rows, slices)


def _require_grey_values(header: Any, name: str) -> None:
    """Refuse colour and complex values, and values that begin absurdly late."""
    dtype = header.get_data_dtype()
    if dtype.kind not in "iuf":
        raise InputRefusedError(f"{name!r} holds {dtype} values; grey values (one number per voxel) are needed")
    offset = float(header["vox_offset"])
    if not 0 <= offset <= MAX_VALUES_OFFSET:
        raise InputRefusedError(f"{name!r} states values at byte {offset:g}; the limit is {MAX_VALUES_OFFSET}")


def _stated_affine(header: Any, shape: tuple[int, int, int], name: str) -> tuple[FloatArray, list[str]]:
    """Take the sform, else the qform; refuse a file with neither, or with two that disagree on the orientation."""
    if header.get_xyzt_units()[0] not in _KNOWN_UNITS:
        raise GeometryError(f"{name!r} is in {header.get_xyzt_units()[0]}; convert it to mm")
    sform, qform = header.get_sform(coded=True)[0], _qform(header)
    if sform is None and qform is None:
        raise GeometryError(f"{name!r} has neither sform nor qform: its orientation is unknown; convert it again")
    affine = np.asarray(qform if sform is None else sform, dtype=np.float64)
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise GeometryError(f"{name!r} has an affine that is not finite or is singular; convert the series again")
    if float(np.abs(affine[:3, :3]).max()) > MAX_VOXEL_MM:
        raise GeometryError(
            f"{name!r} has voxels of more than {MAX_VOXEL_MM:g} mm; that is the limit; convert it again"
        )
    return affine, [] if sform is None or qform is None else _compared(affine, qform, shape, name)


def _qform(header: Any) -> FloatArray | None:
    """Read the qform; NaN where its quaternion or its spacing is impossible, None where it is not set."""
    try:
        qform: FloatArray | None = header.get_qform(coded=True)[0]
    except (HeaderDataError, ValueError):
        return np.full((4, 4), np.nan)
    return qform


def _compared(sform: FloatArray, qform: FloatArray, shape: tuple[int, int, int], name: str) -> list[str]:
    """Compare the two affines of a file; the sform counts."""
    if not np.isfinite(qform).all() or abs(np.linalg.det(qform[:3, :3])) < 1e-9:
        return ["the qform is invalid; the sform counts"]
    if _NIB.orientations.aff2axcodes(sform) != _NIB.orientations.aff2axcodes(qform):
        raise GeometryError(f"{name!r} has an sform and a qform of different orientation; convert the series again")
    corners = np.array([(0, 0, 0, 1), *np.diag([n - 1 for n in shape] + [1])[:3] + np.eye(4)[3]])
    distance = float(np.linalg.norm((corners @ (sform - qform).T)[:, :3], axis=1).max())
    return [f"sform and qform differ by {distance:.2g} mm; the sform counts"] if distance > FORMS_TOLERANCE_MM else []


def _repaired(affine: FloatArray, shape: tuple[int, int, int], name: str) -> tuple[FloatArray, list[str]]:
    """Make the axes perpendicular within the tolerance; the centre of the image stays where it is."""
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    direction = affine[:3, :3] / spacing
    cosine = float(np.abs(direction.T @ direction - np.eye(3)).max())
    if cosine <= PERPENDICULAR_COSINE:
        return affine, []
    if cosine > AFFINE_REPAIR_COSINE:
        raise GeometryError(
            f"the axes of {name!r} are not perpendicular (cosine {cosine:.3g}; the tolerance is "
            f"{AFFINE_REPAIR_COSINE:g}); resample it to a regular grid"
        )
    left, _, right = np.linalg.svd(direction)
    repaired, centre = affine.copy(), (np.array(shape) - 1) / 2
    repaired[:3, :3] = (left @ right) * spacing
    repaired[:3, 3] += (affine[:3, :3] - repaired[:3, :3]) @ centre
    return repaired, [f"affine repaired: axes made perpendicular (cosine was {cosine:.2g})"]


def _require_grid(head: NiftiHead, grid: Volume) -> None:
    """Refuse values that lie elsewhere."""
    if head.shape != grid.shape or not np.allclose(head.affine, grid.affine, atol=REREAD_TOLERANCE_MM):
        raise GeometryError(
            f"{head.name!r} has {head.shape} voxels, or lies elsewhere; {grid.shape} voxels on the image's own "
            "grid are needed; save the labels on the grid of the image"
        )


def _read_values(stream: BinaryIO, head: NiftiHead) -> NDArray[np.float32]:
    """Read exactly the values that the header states, piece by piece, and scale them."""
    slope, intercept = _scale(head)
    _skip(stream, int(head.header["vox_offset"]), head.name)
    values = np.empty(math.prod(head.shape), np.float32)
    with np.errstate(over="ignore", invalid="ignore"):  # what float32 cannot hold becomes infinite, and is refused
        for start in range(0, len(values), _CHUNK_VALUES):
            part = values[start : start + _CHUNK_VALUES]
            part[:] = _read_part(stream, head, len(part))
            if (slope, intercept) != (1.0, 0.0):
                part *= np.float32(slope)
                part += np.float32(intercept)
    return values.reshape(head.shape, order="F")


def _read_part(stream: BinaryIO, head: NiftiHead, count: int) -> NDArray[np.generic]:
    """Read the next values, or refuse a file that ends before them."""
    dtype = head.header.get_data_dtype()
    raw = _read_at_most(stream, count * dtype.itemsize, head.name)
    if len(raw) < count * dtype.itemsize:
        raise UndecodableError(f"{head.name!r} is cut short: it ends before its last voxel; copy it again")
    return np.frombuffer(raw, dtype=dtype)


def _scale(head: NiftiHead) -> tuple[float, float]:
    """Give the slope and intercept of the values."""
    try:
        slope, intercept = head.header.get_slope_inter()
    except HeaderDataError as error:
        raise UndecodableError(f"{head.name!r} has an invalid scale slope; convert the series again") from error
    return (1.0, 0.0) if slope is None else (slope, intercept)


def _skip(stream: BinaryIO, count: int, name: str) -> None:
    """Go to where the values begin."""
    try:
        stream.seek(count)
    except _STREAM_ERRORS as error:
        raise UndecodableError(f"{name!r} is damaged or cut short; copy the file again") from error


def _read_at_most(stream: BinaryIO, count: int, name: str) -> bytes:
    """Read up to ``count`` bytes."""
    try:
        return stream.read(count)
    except _STREAM_ERRORS as error:
        raise UndecodableError(f"{name!r} is damaged or cut short; copy the file again") from error


def _slice_axis(volume: Volume) -> int:
    """Find the slice axis: of length one, else the coarsest; the last of equals."""
    return max(range(3), key=lambda axis: (volume.shape[axis] == 1, round(volume.spacing[axis], 3), axis))


def _write(path: Path, volume: Volume, array: NDArray[np.generic], note: str, *, intent: str = "none") -> None:
    """Write under a temporary name, prove it, then give it its name."""
    if array.shape[0] != 1:
        raise UsageError(f"NIfTI files are written with one channel; found {array.shape[0]}")
    if not is_nifti_name(path.name):
        raise UsageError(f"{path.name!r} must end in .nii or .nii.gz")
    with whole_file(path) as temporary:
        _save(_image(volume, array[0], note, intent), temporary)
        if not _is_same(temporary, volume, array[0]):
            raise OutputError(f"{path.name!r} does not read back as it was written; the disk may be failing")


def _image(volume: Volume, values: NDArray[np.generic], note: str, intent: str) -> Any:
    """Make an image whose sform is exact; the qform is set only where it can say the same."""
    image = _NIB.Nifti1Image(values, volume.affine, dtype=values.dtype)
    image.header.set_slope_inter(1, 0)
    image.header.set_xyzt_units("mm")
    image.header.set_intent(intent)
    image.set_sform(volume.affine, code=1)
    gram = volume.direction.T @ volume.direction
    is_perpendicular = float(np.abs(gram - np.eye(3)).max()) <= PERPENDICULAR_COSINE
    image.set_qform(volume.affine if is_perpendicular else None, code=1 if is_perpendicular else 0)
    image.header["descrip"] = note.encode("ascii")
    return image


def _save(image: Any, path: Path) -> None:
    """Write an image; Python opens and closes the file, also where the disk is full; the same image, the same bytes."""
    with path.open("wb") as file:
        if path.name.lower().endswith(".gz"):
            with gzip.GzipFile("", "wb", _PACKING_LEVEL, file, mtime=0) as packed:
                image.to_stream(packed)
        else:
            image.to_stream(file)


def _is_same(path: Path, volume: Volume, values: NDArray[np.generic]) -> bool:
    """Read a written file back and compare it."""
    image = _NIB.Nifti1Image.from_filename(path)
    is_same = np.array_equal(np.asarray(image.dataobj), values, equal_nan=values.dtype.kind == "f")
    return is_same and np.allclose(image.affine, volume.affine, rtol=1e-6, atol=REREAD_TOLERANCE_MM)
