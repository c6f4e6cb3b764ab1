"""One run at a time writes a folder: a lock on a file of it, which ends with the process however that ends."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from kneeage.core.errors import OutputError

_HELD = frozenset({errno.EAGAIN, errno.EACCES, errno.EWOULDBLOCK, errno.EDEADLK})
# File systems that know no locks: there two runs are not told apart.
_UNKNOWN = frozenset({errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})

if sys.platform == "win32":
    import msvcrt

    # Windows locks bytes against every reader, so the byte lies far beyond the end of the file.
    _FAR = 2**30

    def _lock(file: BinaryIO) -> None:
        """Lock a file, or fail at once."""
        file.seek(_FAR)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(file: BinaryIO) -> None:
        """Lock a file, or fail at once."""
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def only_run(manifest: Path, made: str = "the cohort", *, elsewhere: bool = True) -> Iterator[None]:
    """Keep other runs away from a cohort, or from another output, while the block lasts.

    Args:
        manifest: The cohort's manifest, or another file of the output that is there; it stays as it is.
        made: What the run makes.
        elsewhere: Whether another output folder would do as well.

    Raises:
        OutputError: Another run has the cohort, or the manifest cannot be opened for writing.
    """
    try:
        file = manifest.open("r+b")
    except OSError as error:
        raise OutputError(f"{str(manifest)!r} cannot be opened for writing ({error.strerror}); allow it") from error
    with file:
        _acquire(file, manifest, _busy(manifest.parent, made, elsewhere=elsewhere))
        yield


def _busy(folder: Path, made: str, *, elsewhere: bool) -> str:
    """Say that another run is at work, and what to do."""
    way_out = ", or choose another output folder" if elsewhere else ""
    return (
        f"another run is making {made} in {str(folder)!r}; wait until it ends or stop it, and run again to go "
        f"on{way_out}"
    )


def _acquire(file: BinaryIO, manifest: Path, busy: str) -> None:
    """Take the lock.

    Raises:
        OutputError: Another run has it.
    """
    try:
        _lock(file)
    except OSError as error:
        if error.errno in _HELD:
            raise OutputError(busy) from None
        if error.errno not in _UNKNOWN:
            raise OutputError(f"{str(manifest)!r} cannot be locked ({error.strerror}); try again") from error
