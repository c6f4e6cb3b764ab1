"""Decode the pixels of DICOM frames to float32 grey values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from PIL import ImageFile
from pydicom import Dataset, dcmread
from pydicom.encaps import generate_frames
from pydicom.pixels.utils import iter_pixels

from kneeage.core.errors import UndecodableError
from kneeage.io.codestream import codestream_fault
from kneeage.io.dicom import require_transfer_syntax
from kneeage.io.facts import READ_ERRORS, quietly
from kneeage.io.instance import Frame, Instance

# Source: DICOM PS3.3 section C.7.6.3 (Image Pixel module): what a decoder needs.
_KEYWORDS = (
    "BitsAllocated",
    "BitsStored",
    "Columns",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
    "HighBit",
    "NumberOfFrames",
    "PhotometricInterpretation",
    "PixelData",
    "PixelRepresentation",
    "PlanarConfiguration",
    "Rows",
    "SamplesPerPixel",
)


def decode_frames(instance: Instance, frames: Sequence[Frame], targets: Sequence[NDArray[np.float32]]) -> None:
    """Decode frames of one instance and apply their rescale slope and intercept.

    Args:
        instance: The file.
        frames: Which of its frames.
        targets: Receive the values, each of shape (rows, columns).

    Raises:
        UndecodableError: The pixels are not there in full, or cannot be decoded.
    """
    with quietly(), _nothing_made_up():
        dataset = _read(instance)
        _require_whole(dataset, instance, {frame.number for frame in frames})
        pixels = _decoded(dataset, instance, [frame.number for frame in frames])
        for target, frame, values in zip(targets, frames, pixels, strict=True):
            np.multiply(values, np.float32(frame.slope), out=target)
            np.add(target, np.float32(frame.intercept), out=target)


@contextmanager
def _nothing_made_up() -> Iterator[None]:
    """Let Pillow, one of the decoders, refuse damaged images; WeasyPrint tells it to fill in what is missing."""
    before = ImageFile.LOAD_TRUNCATED_IMAGES
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before


def _read(instance: Instance) -> Dataset:
    """Read the pixel data and what is needed to decode it."""
    name = instance.item.file_name
    try:
        with instance.item.open() as handle:
            dataset = dcmread(handle, force=True, specific_tags=list(_KEYWORDS))
            require_transfer_syntax(dataset)
            has_pixels = bool(dataset.get("PixelData"))
    except READ_ERRORS as error:
        raise UndecodableError(f"the pixel data of {name!r} cannot be read; send the file again") from error
    if not has_pixels:
        raise UndecodableError(f"the pixel data of {name!r} is cut short; send the file again")
    return dataset


def _require_whole(dataset: Dataset, instance: Instance, numbers: set[int]) -> None:
    """Refuse compressed frames that are cut short or of another size than stated."""
    if not instance.transfer_syntax.is_compressed or instance.transfer_syntax.is_deflated:
        return
    for number, frame in enumerate(_encapsulated(dataset, instance)):
        fault = codestream_fault(frame, instance.transfer_syntax, instance.rows, instance.columns)
        if fault is not None and number in numbers:
            raise UndecodableError(f"{_place(instance, number)}: {fault}; send the file again")


def _encapsulated(dataset: Dataset, instance: Instance) -> Iterator[bytes]:
    """Give the compressed frames one by one."""
    try:
        yield from generate_frames(dataset.PixelData, number_of_frames=dataset.get("NumberOfFrames") or 1)
    except READ_ERRORS as error:
        name = instance.item.file_name
        raise UndecodableError(f"the compressed frames of {name!r} are damaged or cut short; send it again") from error


def _decoded(dataset: Dataset, instance: Instance, numbers: Iterable[int]) -> Iterator[NDArray[np.generic]]:
    """Decode frames one by one; a frame that fails is named."""
    pending = list(numbers)
    frames = iter_pixels(dataset, indices=list(pending))
    for number in pending:
        try:
            yield next(frames)
        except READ_ERRORS as error:
            raise UndecodableError(
                f"{_place(instance, number)}: its pixel data ({instance.transfer_syntax.name}) is damaged or cut "
                "short and cannot be decoded; send the file again"
            ) from error


def _place(instance: Instance, number: int) -> str:
    """Name a frame by its file, and by its number where the file has several."""
    name = f"{instance.item.file_name!r}"
    return name if len(instance.frames) == 1 else f"frame {number + 1} of {name}"
