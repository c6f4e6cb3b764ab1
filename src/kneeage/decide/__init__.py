"""From the likelihood of each age to what may be said about a subject: pure numpy, no image, no network."""

from __future__ import annotations
