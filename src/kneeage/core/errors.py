"""The errors of the project, each with the exit code that the command line answers with.

A message says what was found, what is needed and what to do next. It never holds a subject's identity.
"""

from __future__ import annotations

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_REFUSED = 3
EXIT_ABSTAINED = 4
# 128 and the number of the signal. Source: POSIX.1-2024, Shell & Utilities 2.8.2, as shells keep it for SIGINT.
EXIT_STOPPED = 130


class KneeAgeError(Exception):
    """Base of every error that this package raises on purpose."""

    exit_code = EXIT_FAILED


class UsageError(KneeAgeError, ValueError):
    """An option or argument has a value that the command does not take."""

    exit_code = EXIT_USAGE


class InputRefusedError(KneeAgeError, ValueError):
    """The input cannot carry an answer: unreadable, incomplete, of the wrong kind or ambiguous."""

    exit_code = EXIT_REFUSED


class GeometryError(InputRefusedError):
    """The positions, orientations or spacings of a series do not form one volume."""


class UndecodableError(InputRefusedError):
    """The pixels of an instance cannot be decoded, or are not there in full."""


class AmbiguousSeriesError(InputRefusedError):
    """No series, or more than one, is the best input; the candidates are in the message."""


class WrongPlaneError(InputRefusedError):
    """Every series was cut in another plane than the bundle's; they are listed in the message."""


class BundleError(KneeAgeError, RuntimeError):
    """A model bundle is missing, incomplete, altered or does not fit this version."""


class OutputError(KneeAgeError, OSError):
    """The output cannot be written: the folder exists, is not writable, or the disk is full."""


class WorkerError(KneeAgeError, RuntimeError):
    """A process that was given a part of the work died."""
