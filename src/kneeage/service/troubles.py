"""Why there is no answer, in a code for machines and in words for people; the same for both doors."""

from __future__ import annotations

from dataclasses import dataclass

from kneeage.core.errors import (
    AmbiguousSeriesError,
    BundleError,
    GeometryError,
    InputRefusedError,
    KneeAgeError,
    OutputError,
    UndecodableError,
    UsageError,
    WrongPlaneError,
)

_CODES: dict[type[KneeAgeError], str] = {
    GeometryError: "geometry",
    UndecodableError: "undecodable",
    AmbiguousSeriesError: "ambiguous_series",
    WrongPlaneError: "wrong_plane",
    InputRefusedError: "input_refused",
    UsageError: "invalid",
    BundleError: "bundle",
    OutputError: "output",
}

WORKER_DIED = "worker_died"


@dataclass(frozen=True)
class Trouble:
    """Why there is no answer.

    Args:
        code: For machines.
        message: For people.
    """

    code: str
    message: str


def trouble(error: KneeAgeError) -> Trouble:
    """Say what went wrong."""
    code = next((code for kind, code in _CODES.items() if isinstance(error, kind)), "failed")
    return Trouble(code, str(error))


def unforeseen(error: Exception) -> Trouble:
    """Say that something failed that nobody foresaw, without its words, which may quote an image."""
    return Trouble("unforeseen", f"unforeseen failure ({type(error).__name__}); the log has its place")
