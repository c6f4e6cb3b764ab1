"""The library behind the objects, which comes with the extra ``dicom``."""

from __future__ import annotations

from importlib.util import find_spec

from kneeage.core.errors import UsageError


def require_library() -> None:
    """Check, before any work is done, that the library is installed.

    Raises:
        UsageError: It is not.
    """
    if find_spec("highdicom") is None:
        raise UsageError("DICOM objects need highdicom; install it with: pip install 'kneeage[dicom]'")
