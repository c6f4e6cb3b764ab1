"""From a prepared volume to labels, plate measurements and the likelihood of each age."""

from __future__ import annotations
