"""Growth: from chronological age to the latents of a knee, and back as far as anyone could go."""

from __future__ import annotations
