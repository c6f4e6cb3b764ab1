"""What every room shares: the volume, the anatomy, the result and the errors (numpy and pydantic alone)."""

from __future__ import annotations
