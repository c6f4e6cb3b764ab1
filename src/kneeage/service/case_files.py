"""Files of examinations: uploads by the hash of their bytes, results and corrections by the number of their run.

No name that a user gives becomes part of a path: folders are named by random identifiers and numbers, files by hashes
and by names of ours.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from kneeage.core.errors import OutputError
from kneeage.io.output import whole_folder
from kneeage.service.links import link_or_copy

# Endings of uploaded names that tell what a file is; no other part of a name is used.
ENDINGS = (".nii.gz", ".nii", ".zip")
# How examinations are called.
ID = re.compile(r"[0-9a-f]{32}")

_OWNER_ONLY = 0o700


class CaseFiles:
    """A folder that only its owner may read.

    Args:
        folder: The folder; it is made where it is missing.

    Raises:
        OutputError: It cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            # The mode given holds for the last folder alone, not for its parents.
            for place in (folder, self._cases):
                place.mkdir(mode=_OWNER_ONLY, parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{str(folder)!r} cannot be made ({error.strerror}); choose another folder") from error

    @property
    def head(self) -> Path:
        """File that the head of the audit log is noted in."""
        return self.folder / "audit.head"

    @property
    def key(self) -> Path:
        """File of the key that sessions are signed with."""
        return self.folder / "session.key"

    @property
    def lock(self) -> Path:
        """File that a server locks, so that there is one of them."""
        path = self.folder / "server.lock"
        path.touch()
        return path

    @property
    def free_bytes(self) -> int:
        """Room left on the disk."""
        return shutil.disk_usage(self.folder).free

    @contextmanager
    def incoming(self, examination: str) -> Iterator[Path]:
        """Give an empty folder for files that come in; it is removed at the end."""
        place = self._case(examination)
        place.mkdir(mode=_OWNER_ONLY, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="incoming-", dir=place))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def keep(self, examination: str, files: Iterable[Path]) -> None:
        """Take over files that came in, under the names that they have."""
        uploads = self.uploads(examination)
        uploads.mkdir(mode=_OWNER_ONLY, exist_ok=True)
        for file in files:
            file.replace(uploads / file.name)

    def adopt_uploads(self, examination: str, images: Mapping[str, Path]) -> list[str]:
        """Take over images that lie elsewhere and are never changed; what is there already stays.

        Args:
            examination: The examination.
            images: Where each lies, by the name that it gets.

        Returns:
            Names of those that were there.
        """
        uploads = self.uploads(examination)
        for place in (uploads.parent, uploads):
            place.mkdir(mode=_OWNER_ONLY, exist_ok=True)
        return [name for name, path in images.items() if _adopt(path, uploads / name)]

    def adopt_results(self, examination: str, number: int, folder: Path) -> bool:
        """Take over the results of a run that lie elsewhere and are never changed; say whether they were there."""
        place = self.results(examination, number)
        if not folder.is_dir():
            return place.is_dir()
        shutil.rmtree(place, ignore_errors=True)
        place.parent.mkdir(mode=_OWNER_ONLY, exist_ok=True)
        with whole_folder(place) as whole:
            for file in (one for one in folder.rglob("*") if one.is_file()):
                target = whole / file.relative_to(folder)
                target.parent.mkdir(exist_ok=True)
                link_or_copy(file, target)
        return True

    def source(self, examination: str) -> Path:
        """Where the images of an examination are read from: its only file, or the folder of all."""
        uploads = self.uploads(examination)
        files = sorted(uploads.iterdir()) if uploads.is_dir() else []
        return files[0] if len(files) == 1 else uploads

    def uploads(self, examination: str) -> Path:
        """Folder of the files that came in."""
        return self._case(examination) / "uploads"

    def results(self, examination: str, number: int) -> Path:
        """Folder of the results of a run."""
        return self._case(examination) / f"run-{number:d}"

    def documents(self, examination: str, number: int) -> Path:
        """Folder of the documents of a run, which are made after its results."""
        return self._case(examination) / f"documents-{number:d}"

    def find(self, examination: str, number: int, name: str) -> Path | None:
        """Find a file of a run by a name of ours; None where it has none."""
        places = (self.results(examination, number), self.documents(examination, number))
        return next((place / name for place in places if (place / name).is_file()), None)

    def correction(self, examination: str, number: int) -> Path:
        """File of the labels that a run was given."""
        return self._case(examination) / f"correction-{number:d}.nii.gz"

    def remove(self, examination: str) -> None:
        """Remove every file of an examination."""
        shutil.rmtree(self._case(examination), ignore_errors=True)

    def sweep(self, known: Mapping[str, set[str] | None], corrections: Mapping[str, set[int]]) -> None:
        """Remove what a server that was killed left behind; what the register does not know at all is left alone.

        Args:
            known: Names of the uploads of each examination; None where it was purged.
            corrections: Numbers of the corrections of each examination that has any.
        """
        for key, names in known.items():
            case = self._case(key)
            if names is None:
                shutil.rmtree(case, ignore_errors=True)
                continue
            kept = {self.correction(key, number).name for number in corrections.get(key, ())}
            given = [path for path in case.glob("correction-*") if path.name not in kept]
            strange = [path for path in (case / "uploads").glob("*") if path.name not in names]
            for path in [*case.glob("incoming-*"), *case.glob(".*.part.*"), *given, *strange]:
                _remove(path)

    @property
    def _cases(self) -> Path:
        """Folder of all examinations."""
        return self.folder / "examinations"

    def _case(self, examination: str) -> Path:
        """Folder of one examination."""
        if not ID.fullmatch(examination):
            raise OutputError("an examination is named by 32 hexadecimal digits")
        return self._cases / examination


def _adopt(path: Path, target: Path) -> bool:
    """Give a file a second place, unless it has it; say whether it is there now."""
    if not target.exists():
        with suppress(FileNotFoundError):
            link_or_copy(path, target)
    return target.exists()


def _remove(path: Path) -> None:
    """Remove a file, or a folder with all that is in it."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def ending_of(name: str) -> str:
    """Give the ending of an uploaded name if it is one that tells something; else nothing."""
    lower = name.lower()
    return next((ending for ending in ENDINGS if lower.endswith(ending)), "")
