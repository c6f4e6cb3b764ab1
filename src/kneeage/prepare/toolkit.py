"""SimpleITK, imported only when a step needs it: it is large, slow to import and absent on some machines."""

from __future__ import annotations

from typing import Any


def simple_itk() -> Any:
    """Import SimpleITK; its functions carry no usable types."""
    import SimpleITK

    return SimpleITK
