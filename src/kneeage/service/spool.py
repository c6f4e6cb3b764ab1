"""The spool: images by the hash of their bytes, and results by the study and the hash of its images.

A file is there in full or not at all, and is never changed: a worker that reads it cannot be disturbed by what comes in
meanwhile. The names in it tell nothing about a subject.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pydicom import dcmread

from kneeage.core.errors import InputRefusedError, OutputError
from kneeage.io.output import whole_folder
from kneeage.service.links import link_or_copy
from kneeage.service.studies import Job, result_name

_CHUNK_BYTES = 2**20
_OWNER_ONLY = 0o700


class Spool:
    """A folder of images and results that only its owner may read.

    Args:
        folder: The folder; it is made where it is missing.

    Raises:
        OutputError: It cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.incoming = folder / "incoming"
        try:
            folder.mkdir(mode=_OWNER_ONLY, parents=True, exist_ok=True)
            for place in (self.incoming, self._images, self._results, self._work):
                place.mkdir(mode=_OWNER_ONLY, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{str(folder)!r} cannot be made ({error.strerror}); choose another folder") from error

    @property
    def database(self) -> Path:
        """Where the queue is kept."""
        return self.folder / "queue.sqlite3"

    @property
    def lock(self) -> Path:
        """File that a listener locks, so that there is one of them."""
        path = self.folder / "listener.lock"
        path.touch()
        return path

    @property
    def free_bytes(self) -> int:
        """Room left on its disk."""
        return shutil.disk_usage(self.folder).free

    def keep(self, received: Path, key: str) -> tuple[str, Path]:
        """Take over a file that was received, for good: it is on the disk when this returns.

        Args:
            received: The file, on the same disk; it is moved.
            key: Key of its study.

        Returns:
            The SHA-256 of its bytes, and where it lies now.
        """
        sha256 = _flushed_sha256(received)
        place = self._images / key
        place.mkdir(mode=_OWNER_ONLY, exist_ok=True)
        kept = received.replace(place / _name(sha256))
        _flush_folder(place)
        return sha256, kept

    @contextmanager
    def snapshot(self, job: Job) -> Iterator[Path]:
        """Give a folder with the images of a job, and nothing else; it is removed at the end.

        Raises:
            InputRefusedError: An image is gone.
        """
        folder = Path(tempfile.mkdtemp(prefix=f"{job.key}-", dir=self._work))
        try:
            for sha256 in job.files:
                _link(self.image(job.key, sha256), folder / _name(sha256))
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def new_results(self, job: Job) -> Iterator[Path]:
        """Give an empty folder for the results of a job; they are there in full at the end, or not at all.

        Raises:
            OutputError: It cannot be written.
        """
        with whole_folder(self.results(job)) as whole:
            yield whole
            for path in whole.rglob("*"):
                if path.is_file():
                    _flush_file(path)
        _flush_folder(self._results)

    def results(self, job: Job) -> Path:
        """Folder of the results of a job, whether it is there or not."""
        return self.results_of(job.key, job.input_hash)

    def results_of(self, key: str, input_hash: str) -> Path:
        """Folder of the results of a study and a set of its images, whether it is there or not."""
        return self._results / result_name(key, input_hash)

    def image(self, key: str, sha256: str) -> Path:
        """File of an image of a study, whether it is there or not."""
        return self._images / key / _name(sha256)

    def objects(self, job: Job) -> dict[str, Path]:
        """Give the DICOM objects of a job's results by their SOP Instance UIDs."""
        return {_object_uid(path): path for path in sorted(self.results(job).rglob("*.dcm"))}

    def forget(self, key: str) -> None:
        """Remove the images and the results of a study."""
        shutil.rmtree(self._images / key, ignore_errors=True)
        for folder in self._results.glob(f"{key}-*"):
            shutil.rmtree(folder, ignore_errors=True)

    def remove(self, key: str) -> None:
        """Remove everything of a study, also what a worker that died left behind.

        Raises:
            OutputError: Some of it cannot be removed.
        """
        self.forget(key)
        for left in (*self._work.glob(f"{key}-*"), *self._results.glob(f".*.part.{key}-*")):
            shutil.rmtree(left, ignore_errors=True)
        places = ((self._images, key), (self._work, f"{key}-*"), (self._results, f"*{key}-*"))
        if any(True for folder, pattern in places for _ in folder.glob(pattern)):
            raise OutputError(f"files of the study {key} cannot be removed; check the rights of the spool")

    def sweep(self, older_than_seconds: float) -> None:
        """Remove what transfers and workers that were broken off left behind."""
        limit = time.time() - older_than_seconds
        for path in [*self.incoming.iterdir(), *self._work.iterdir(), *self._results.glob(".*.part.*")]:
            with suppress(OSError):
                if path.stat().st_mtime < limit:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()

    @property
    def _images(self) -> Path:
        """Where images are kept."""
        return self.folder / "images"

    @property
    def _results(self) -> Path:
        """Where results are kept."""
        return self.folder / "results"

    @property
    def _work(self) -> Path:
        """Where workers see the images of their jobs."""
        return self.folder / "work"


def _name(sha256: str) -> str:
    """Name the file of an image."""
    return f"{sha256}.dcm"


def _object_uid(path: Path) -> str:
    """Read the SOP Instance UID of an object of ours."""
    return str(dcmread(path, stop_before_pixels=True, specific_tags=["SOPInstanceUID"]).SOPInstanceUID)


def _flushed_sha256(path: Path) -> str:
    """Hash a file and bring it to the disk."""
    digest = hashlib.sha256()
    with path.open("rb+") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
        os.fsync(file.fileno())
    return digest.hexdigest()


def _flush_file(path: Path) -> None:
    """Bring a file to the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk, where the system can."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _link(source: Path, target: Path) -> None:
    """Put an image of a job where its worker looks.

    Raises:
        InputRefusedError: It is gone.
    """
    try:
        link_or_copy(source, target)
    except FileNotFoundError as error:
        raise InputRefusedError("an image of the study is no longer in the spool; send the study again") from error
