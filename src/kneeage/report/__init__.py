"""Results in, documents out: the pictures and the report that a person reads."""

from __future__ import annotations
