"""Cohorts: virtual subjects in memory and as files."""

from __future__ import annotations
