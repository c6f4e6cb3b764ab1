"""A cohort of subjects as a folder: who they are, their images and labels, and who is in which group."""

from __future__ import annotations
