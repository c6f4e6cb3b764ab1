"""Outputs that are whole or not there: written under a temporary name beside their place, renamed at the end."""

from __future__ import annotations

import errno
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import count
from pathlib import Path

from kneeage.core.errors import OutputError

# Of the errors of a system, those that say that there is no room left.
DISK_FULL = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)})
_MACHINE_AT_FAULT = DISK_FULL | {errno.EROFS, errno.EFBIG, errno.EIO}
_OWNER_ONLY, _ALL = stat.S_IRWXU, 0o777
_TAKEN = frozenset({errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR, errno.EISDIR})


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Give a temporary folder that takes its place when the block ends well, and is removed when it does not.

    Folders above it are made where they are missing, and removed again with it. The permissions of an empty folder at
    the path are kept, and hold for the temporary one too.

    Args:
        path: The folder wanted; it must not be there, or be empty.

    Yields:
        A temporary folder beside it, to write into.

    Raises:
        OutputError: Something lies at the path, the place is not writable, or the disk is full.
    """
    path = Path(path).absolute()
    require_free(path)
    with _temporary(path, partial(_make_folder, path)) as temporary:
        yield temporary


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a temporary file name that takes its place when the block ends well, and is removed when it does not.

    Args:
        path: The file wanted; it must not be there. Its ending, such as ``.nii.gz``, is kept in the temporary name.

    Yields:
        The name of an empty temporary file beside it, to write to.

    Raises:
        OutputError: Something lies at the path, the place is not writable, or the disk is full.
    """
    path = Path(path).absolute()
    _require_absent(path)
    with _temporary(path, Path.touch) as temporary:
        yield temporary


def replace_file(path: Path, text: str) -> None:
    """Write a file in place of the one that is there, whole or not at all.

    Raises:
        OutputError: It cannot be written.
    """
    temporary = path.with_name(f".part.{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text, encoding="utf-8", newline="")
        temporary.replace(path)
    except OSError as error:
        _remove(temporary, [])
        raise _output_error(path, error) from error


def set_aside(path: Path, word: str) -> Path:
    """Give a file the first free name beside its own, such as ``subjects.edited-1.csv``.

    Args:
        path: The file.
        word: Says what kind of file it is.

    Returns:
        Where it lies now.
    """
    names = (path.with_stem(f"{path.stem}.{word}-{number}") for number in count(1))
    return path.rename(next(name for name in names if not name.exists()))


def require_free(path: Path) -> None:
    """Check, before any work is done, that an output folder may take this place.

    Args:
        path: The folder wanted.

    Raises:
        OutputError: A file lies there, or a folder that is not empty, or one that cannot be looked into, or it is the
            folder that the program works in, which cannot be replaced.
    """
    if path.absolute() == Path.cwd():
        raise OutputError("the output folder is the one you are in; name a new folder inside it")
    try:
        taken = path.is_symlink() or (path.exists() and (not path.is_dir() or any(path.iterdir())))
    except OSError as error:
        raise _output_error(path, error) from error
    if taken:
        kind = "a folder that is not empty" if path.is_dir() and not path.is_symlink() else "a file"
        raise OutputError(f"{str(path)!r} is {kind}; choose another output folder, or remove it first")


def _require_absent(path: Path) -> None:
    """Refuse to overwrite."""
    try:
        there = path.is_symlink() or path.exists()
    except OSError as error:
        raise _output_error(path, error) from error
    if there:
        raise OutputError(f"{str(path)!r} is there already; choose another file name, or remove it first")


@contextmanager
def _temporary(path: Path, make: Callable[[Path], None]) -> Iterator[Path]:
    """Make a temporary sibling; rename it to the path, or remove it with the folders that were made for it."""
    temporary = path.with_name(f".{secrets.token_hex(4)}.part.{path.name}")
    missing = _missing_parents(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        make(temporary)
        yield temporary
        _take_place(temporary, path)
    except BaseException as error:
        _remove(temporary, missing)
        if isinstance(error, OSError) and _is_about(error, temporary, path):
            raise _output_error(path, error) from error
        raise


def _missing_parents(path: Path) -> list[Path]:
    """Folders above the path that are not there yet, innermost first."""
    try:
        return [parent for parent in path.parents if not parent.exists()]
    except OSError as error:
        raise _output_error(path, error) from error


def _make_folder(path: Path, temporary: Path) -> None:
    """Make a temporary folder that no more people can look into than into an empty one at the path."""
    temporary.mkdir(_OWNER_ONLY if path.exists() else _ALL)
    if path.exists():
        temporary.chmod(_mode(path) | _OWNER_ONLY)


def _mode(path: Path) -> int:
    """Read the permissions of a folder."""
    return stat.S_IMODE(path.stat().st_mode)


def _take_place(temporary: Path, path: Path) -> None:
    """Rename; an empty folder at the path gives way, anything else that came meanwhile does not."""
    if temporary.is_dir():
        mode = _mode(path) if path.exists() else _mode(temporary)
        with suppress(FileNotFoundError):
            path.rmdir()
        temporary.rename(path)
        path.chmod(mode)
    else:
        _require_absent(path)
        temporary.rename(path)


def _remove(temporary: Path, made: list[Path]) -> None:
    """Remove the temporary output, then the empty folders that were made for it."""
    if temporary.is_dir():
        shutil.rmtree(temporary, ignore_errors=True)
    with suppress(OSError):
        temporary.unlink(missing_ok=True)
    with suppress(OSError):
        for folder in made:
            folder.rmdir()


def _is_about(error: OSError, temporary: Path, path: Path) -> bool:
    """Say whether an error came from writing the output, not from something else in the block."""
    if isinstance(error, OutputError):
        return False
    names = [Path(str(name)) for name in (error.filename, error.filename2) if name is not None]
    ours = (temporary, path, *path.parents)
    return error.errno in _MACHINE_AT_FAULT or any(name in ours or temporary in name.parents for name in names)


def _output_error(path: Path, error: OSError) -> OutputError:
    """Say what is wrong with the output's place and what to do."""
    where = repr(str(path))
    if error.errno in DISK_FULL:
        return OutputError(f"the disk is full: {where} was not written; free some space, or choose another place")
    if error.errno in _TAKEN:
        return OutputError(f"{where} cannot be made: something else lies there; choose another output place")
    return OutputError(f"{where} cannot be written ({error.strerror or error}); choose a place you may write to")
