"""The virtual cohort: knees that grow, are painted, scanned and gathered, and whose truth is known."""

from __future__ import annotations
