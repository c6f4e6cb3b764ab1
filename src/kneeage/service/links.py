"""Files in a second place, without a second copy where the file system can."""

from __future__ import annotations

import shutil
from pathlib import Path


def link_or_copy(source: Path, target: Path) -> None:
    """Link a file that is never changed, or copy it where the two places share no file system that knows links.

    Args:
        source: The file.
        target: Its second place, which is free; it is there in full or not at all.

    Raises:
        FileNotFoundError: The file is gone.
    """
    try:
        target.hardlink_to(source)
    except FileNotFoundError:
        raise
    except OSError:
        part = target.with_name(f".{target.name}.part")
        shutil.copyfile(source, part)
        part.replace(target)
