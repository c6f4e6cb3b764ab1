"""The optimizer that the settings name."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from kneeage.learn.settings import FitSettings

_KINDS: dict[str, type[torch.optim.Adam]] = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}


def build_optimizer(parameters: Iterable[nn.Parameter], fit: FitSettings) -> torch.optim.Optimizer:
    """Build the optimizer; its learning rate is set anew at each step by the budget."""
    return _KINDS[fit.optimizer](parameters, fit.learning_rate, weight_decay=fit.weight_decay)
