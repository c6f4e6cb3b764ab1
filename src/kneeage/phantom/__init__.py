"""The virtual cohort: knees whose truth is known (numpy and scipy alone; files are written by ``cohort``)."""

from __future__ import annotations
