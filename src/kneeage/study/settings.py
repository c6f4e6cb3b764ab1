"""What a study is asked to do: how subjects are dealt out, and how the networks are trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from kneeage.core.anatomy import Plane
from kneeage.learn.presets import TrainingSettings, overridden, preset
from kneeage.learn.settings import as_json_object, from_json_object
from kneeage.prepare.recipe import DEFAULT, PAPER, Recipe
from kneeage.study.results import SplitBy

RECIPES: dict[str, Recipe] = {"default": DEFAULT, "paper": PAPER}


@dataclass(frozen=True)
class DealSettings:
    """How the study is done, besides the networks.

    Args:
        folds: Number of folds.
        split_seed: What the folds follow from.
        split_by: What is dealt out to the folds; ``"slice"`` is a counter-example that leaks on purpose.
        recipe: How images are prepared where no bundle says so.
        plane: Plane of the slices where no bundle says so.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    folds: Annotated[int, Field(ge=2)] = 5
    split_seed: Annotated[int, Field(ge=0)] = 2021
    split_by: SplitBy = SplitBy.SUBJECT
    recipe: Literal["default", "paper"] = "default"
    plane: Plane = Plane.CORONAL


_DEAL_KEYS = tuple(each.name for each in fields(DealSettings))


@dataclass(frozen=True)
class StudySettings:
    """All settings of a study.

    Args:
        preset: Name of the preset that they began as.
        deal: How the study is done, besides the networks.
        training: How the networks are trained.
    """

    preset: str = "default"
    deal: DealSettings = field(default_factory=DealSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)

    @property
    def leaky(self) -> bool:
        """Whether slices of one subject may fall into several folds."""
        return self.deal.split_by is SplitBy.SLICE

    @property
    def edges_years(self) -> tuple[float, ...]:
        """Edges of the age bins of the model that estimates the age."""
        training = self.training
        return (training.age_model if training.model == "age_model" else training.end_to_end).age_edges_years

    def as_json(self) -> dict[str, Any]:
        """Give the settings as plain values."""
        return {"preset": self.preset, **as_json_object(self.deal), **as_json_object(self.training)}

    @staticmethod
    def from_json(raw: dict[str, Any]) -> StudySettings:
        """Read what `as_json` gave.

        Raises:
            UsageError: A key is unknown, or a value does not fit.
        """
        deal = {key: value for key, value in raw.items() if key in _DEAL_KEYS}
        training = {key: value for key, value in raw.items() if key not in {*_DEAL_KEYS, "preset"}}
        return StudySettings(
            str(raw["preset"]), from_json_object(DealSettings, deal), from_json_object(TrainingSettings, training)
        )


def study_settings(preset_name: str, changes: Sequence[str]) -> StudySettings:
    """Put a preset and changes to it together.

    Args:
        preset_name: ``default``, ``paper`` or ``forensic``.
        changes: ``key=value``: ``folds``, ``split_seed``, ``split_by``, ``recipe``, ``plane``, or a setting of the
            trainings, such as ``age_model.fit.max_steps=100``.

    Raises:
        UsageError: There is no such preset or setting, or a value does not fit.
    """
    own = [change for change in changes if change.partition("=")[0] in _DEAL_KEYS]
    rest = [change for change in changes if change not in own]
    training = overridden(preset(preset_name), rest, others=_DEAL_KEYS)
    return StudySettings(preset_name, overridden(DealSettings(), own), training)
