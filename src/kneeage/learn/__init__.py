"""Training of the networks: the only room that imports torch, lightning and MONAI.

Nothing is imported here, so that reading the settings of a run costs no torch.
"""

from __future__ import annotations
