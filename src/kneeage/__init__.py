"""Age estimation of living adolescents from knee MRI.

The public names are loaded when they are first used, so that ``import kneeage`` costs nothing.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0.dev0"
__all__ = ["__version__", "estimate", "load_volume", "segment"]

# ONNX Runtime reads this once, when it is imported: without it, builds of 2026 send usage events to their maker and
# keep a device identifier and a cache in the home folder. Source: microsoft/onnxruntime, pull request 27379.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

if TYPE_CHECKING:
    from kneeage.io.read import load as load_volume
    from kneeage.pipeline import estimate
    from kneeage.pipeline import segment_file as segment
else:
    _HOME = {
        "estimate": ("kneeage.pipeline", "estimate"),
        "load_volume": ("kneeage.io.read", "load"),
        "segment": ("kneeage.pipeline", "segment_file"),
    }

    def __getattr__(name: str) -> object:
        """Load a public name from the room it lives in."""
        if name not in _HOME:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module, attribute = _HOME[name]
        return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted(__all__)
