"""What this machine has: cores, and how many processes may share them."""

from __future__ import annotations

import os
import sys

# Source: Python's documentation of ProcessPoolExecutor: on Windows, at most 61 processes.
_MOST_PROCESSES_ON_WINDOWS = 61


def available_cores() -> int:
    """Count the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def possible_processes(wanted: int) -> int:
    """Say how many of the wanted processes a pool of this system can have.

    Args:
        wanted: At least 1.
    """
    return min(wanted, _MOST_PROCESSES_ON_WINDOWS) if sys.platform == "win32" else wanted
