"""Reading and writing: DICOM and NIfTI in, volumes out, and back; the one room that knows LPS."""

from __future__ import annotations
