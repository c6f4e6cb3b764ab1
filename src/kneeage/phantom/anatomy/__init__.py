"""Anatomy: the knee in three dimensions, painted on slices (numpy and scipy alone)."""

from __future__ import annotations
