"""The scanner: from painted slices to images (numpy and scipy alone)."""

from __future__ import annotations
