"""Keep the images of one study as an archive hands them over, and nothing else that comes by the same way."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pydicom import Dataset
from pynetdicom.events import Event

from kneeage.core.errors import OutputError
from kneeage.pacs.receive import RefusedObjectError, StoreStatus
from kneeage.service.logs import log_failure


@dataclass(eq=False)
class Keeper:
    """Writes the images of a study as they come, under numbers.

    Args:
        folder: An empty folder.
        study_uid: Study Instance UID of the study; an object of another one is refused.
    """

    folder: Path
    study_uid: str
    uids: set[str] = field(default_factory=set, init=False)
    _failure: OSError | None = field(default=None, init=False)
    _count: int = field(default=0, init=False)
    _turn: threading.Lock = field(default_factory=threading.Lock, init=False)

    def handle(self, event: Event) -> int:
        """Answer C-STORE."""
        try:
            self.keep(event.dataset, lambda path: path.write_bytes(event.encoded_dataset()))
        except RefusedObjectError as error:
            return error.status
        except OSError as error:
            self._failure = self._failure or error
            log_failure("object could not be kept", error)
            return StoreStatus.OUT_OF_RESOURCES
        except Exception as error:  # noqa: BLE001 (the network's edge: the peer gets a status, whatever happened)
            log_failure("object could not be taken", error)
            return StoreStatus.CANNOT_UNDERSTAND
        return StoreStatus.SUCCESS

    def keep(self, dataset: Dataset, write: Callable[[Path], object]) -> None:
        """Write an image.

        Args:
            dataset: The image.
            write: Writes it into a file.

        Raises:
            RefusedObjectError: It belongs to another study.
            OSError: It cannot be written.
        """
        if dataset.get("StudyInstanceUID") != self.study_uid:
            raise RefusedObjectError(StoreStatus.DOES_NOT_MATCH_CLASS, "object of a study that was not asked for")
        write(self._new_path())
        self.uids.add(str(dataset.SOPInstanceUID))

    def require_written(self) -> None:
        """Check that every image that came could be written.

        Raises:
            OutputError: One could not.
        """
        if self._failure is not None:
            raise unwritten(self._failure) from self._failure

    def _new_path(self) -> Path:
        """Name the next file."""
        with self._turn:
            self._count += 1
            return self.folder / f"{self._count:06d}.dcm"


def unwritten(error: OSError) -> OutputError:
    """Say that an image that was handed over could not be written."""
    why = error.strerror or type(error).__name__
    return OutputError(f"an image that the archive sent cannot be written ({why}); make room in the temporary folder")
