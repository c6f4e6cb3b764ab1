"""Facts of a subject as an input of the age network: which, standardised, and withheld at random in training."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from kneeage.infer.facts import FACT_GROUPS, KNOWN
from kneeage.learn.settings import AgeModelSettings

# What a value is taken less, and then divided by; names that are not here are flags and shares, and stay as they are.
# Source: ours; middle and spread over 8 to 25 years (height and weight of the CDC charts of 2000; thickness of open
# plates of the growth table, closed plates counted as 0).
_SCALES = {
    "height_cm": (155.0, 18.0),
    "weight_kg": (50.0, 16.0),
    "femur_thickness_mm": (1.0, 1.0),
    "tibia_thickness_mm": (1.0, 1.0),
}
# Facts that may be missing later.
_OPTIONAL = ("height", "weight", "sequence")


def fact_names(settings: AgeModelSettings) -> tuple[str, ...]:
    """Name the facts of a network, in their order: the sex, then those of the settings."""
    return tuple(name for group in ("sex", *settings.facts) for name in FACT_GROUPS[group])


class FactInput(nn.Module):
    """Standardises facts; what is not known becomes 0.

    Args:
        names: Of ``kneeage.infer.facts``.
    """

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self.names = tuple(names)
        scales = torch.tensor([_SCALES.get(name, (0.0, 1.0)) for name in names])
        # Known-ness of each fact is a linear function of all facts: 1, or the flag that goes with it.
        gates, always = torch.zeros(len(names), len(names)), torch.ones(len(names))
        for place, name in enumerate(names):
            if name in KNOWN:
                gates[self.names.index(KNOWN[name]), place], always[place] = 1.0, 0.0
        for name, value in {"middle": scales[:, 0], "spread": scales[:, 1], "gates": gates, "always": always}.items():
            self.register_buffer(name, value, persistent=False)

    def forward(self, facts: Tensor) -> Tensor:
        """Map facts in their own units (N, F) to standardised ones (N, F)."""
        middle, spread, gates, always = (self.get_buffer(name) for name in ("middle", "spread", "gates", "always"))
        return (facts - middle) / spread * (facts @ gates + always)


def drop_facts(facts: Tensor, names: Sequence[str], share: float) -> Tensor:
    """Withhold each optional fact of some training subjects.

    Args:
        facts: Shape (N, F).
        names: Of the F facts.
        share: Probability of withholding.
    """
    kept = torch.ones_like(facts)
    for group in _OPTIONAL:
        places = [names.index(name) for name in FACT_GROUPS[group] if name in names]
        if places:
            kept[:, places] = (torch.rand(len(facts), 1) >= share).to(facts)
    return facts * kept
