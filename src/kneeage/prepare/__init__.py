"""The preprocessing steps and the recipe that chains them: one code path for training and serving."""

from __future__ import annotations
