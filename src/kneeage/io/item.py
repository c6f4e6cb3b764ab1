"""One thing that can be opened and read: a file of a folder, of a DICOMDIR or of a zip."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import BinaryIO


@dataclass(frozen=True)
class SourceItem:
    """A readable item of a source.

    Args:
        name: Path inside the source, with forward slashes.
        open: Opens it for reading, from the start, seekable.
    """

    name: str
    open: Callable[[], BinaryIO] = field(repr=False, compare=False)

    @property
    def file_name(self) -> str:
        """The last part of the name, as used in messages."""
        return PurePosixPath(self.name).name
