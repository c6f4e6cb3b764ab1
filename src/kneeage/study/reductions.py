"""What must be said beside a study's numbers: how its world differs from people, and what was done in small."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kneeage.phantom.cohort.presets import PRESETS
from kneeage.study.predictions import Group
from kneeage.study.results import TrainingLog
from kneeage.study.settings import StudySettings, study_settings
from kneeage.study.views import flat, used

_TIGHT = "table1-tight"
# Source: the SDs of `kneeage.phantom.growth.table`, tempo and own deviation together: 0.72 against 0.11 years (tested).
_WORLDS = {
    _TIGHT: "This world is seven times tighter than biology: the growth of its subjects varies by an SD of 0.11 years, "
    "that of people by about 0.7. What is reached in it cannot be reached in people.",
}
# What says how long a training is, by its name below ``fit``.
_LENGTHS = ("epochs", "max_steps", "max_minutes", "steps_per_epoch")
_DEAL = ("folds", "split_seed", "split_by")
# Names of the stages in the logs.
_STAGES = {"segmenter": "segmenter", "age_model": "age model", "end_to_end": "end to end"}
_MODEL_WORDS = {**_STAGES, "end_to_end": "end to end model"}


def world_sentence(plan: Mapping[str, Any]) -> str | None:
    """Say how the world of a virtual cohort differs from people; None where there is nothing to be said.

    Args:
        plan: ``plan.json`` of the study.
    """
    presets = dict.fromkeys(plan[group.value]["manifest"].get("preset") for group in Group)
    return next((_WORLDS[preset] for preset in presets if preset in _WORLDS), None)


def used_settings(plan: Mapping[str, Any]) -> dict[str, Any]:
    """Give the settings that a study follows from: without those of networks that it does not train.

    Args:
        plan: ``plan.json`` of the study. A bundle brings its segmenter, the recipe and the plane along.
    """
    brought = () if plan["segmenter"] is None else ("segmenter", "recipe", "plane")
    return {name: value for name, value in used(plan["settings"]).items() if name not in brought}


def reduction_sentences(plan: Mapping[str, Any], logs: Sequence[TrainingLog]) -> Iterator[str]:
    """Say what was done in small: fewer subjects, folds or steps than the presets say, or other settings.

    Args:
        plan: ``plan.json`` of the study.
        logs: Of the trainings; they tell where a limit of time ended them.
    """
    yield from _cohorts(plan)
    settings = StudySettings.from_json(dict(plan["settings"]))
    whole = study_settings(settings.preset, [])
    if settings.deal.folds < whole.deal.folds:
        yield f"The study has {settings.deal.folds} folds; the preset has {whole.deal.folds}."
    now, preset = used_settings(plan), whole.as_json()
    for part in (each for each in _STAGES if each in now):
        yield from _length(part, now[part]["fit"], preset[part]["fit"], logs)
    yield from _others(now, preset)


def _cohorts(plan: Mapping[str, Any]) -> Iterator[str]:
    """Say of which cohorts there are only some subjects."""
    sides = {group.value: plan[group.value] for group in Group}
    names: dict[str, list[str]] = {}
    for name, side in sides.items():
        names.setdefault(_part_of_preset(side["manifest"]), []).append(name)
    for words, own in names.items():
        if words:
            yield f"The {' and the '.join(own)} cohort {'are' if len(own) > 1 else 'is'} {words}."
    subset = plan[Group.EXTERNAL.value]["subset"]
    if subset is not None:
        yield f"Of the external cohort only the subset {subset!r} is tested."


def _part_of_preset(manifest: Mapping[str, Any]) -> str:
    """Say how many of a preset's subjects were made; nothing where all were, or there is no preset."""
    made, preset = manifest.get("subjects"), PRESETS.get(str(manifest.get("preset")))
    if made is None or preset is None or made >= preset.subjects:
        return ""
    return f"{made:,} of the {preset.subjects:,} subjects of the preset {preset.name}"


def _length(part: str, fit: Mapping[str, Any], preset: Mapping[str, Any], logs: Sequence[TrainingLog]) -> Iterator[str]:
    """Say that a training is shorter, or other, than the preset's, and where a limit of time ended it."""
    now, then = _words(fit), _words(preset)
    if now != then:
        yield f"Training of the {_MODEL_WORDS[part]}: {now}; the preset has {then}.{_ended(part, fit, logs)}"


def _words(fit: Mapping[str, Any]) -> str:
    """Say how long a training is."""
    length = f"{fit['epochs']:,} epochs" if fit.get("epochs") else f"{fit['max_steps']:,} steps"
    return length + (f" or {fit['max_minutes']:g} minutes" if fit.get("max_minutes") else "")


def _ended(part: str, fit: Mapping[str, Any], logs: Sequence[TrainingLog]) -> str:
    """Say after how many steps the trainings ended, where they were limited by the clock."""
    own = [log for log in logs if log.stage == _STAGES[part] and log.rows]
    if not fit.get("max_minutes") or not own:
        return ""
    steps = sorted({max(int(row["step"]) for row in log.rows) + 1 for log in own})
    ended = " to ".join(f"{number:,}" for number in (steps[0], steps[-1])[: len(steps)])
    return f" {'It' if len(own) == 1 else 'They'} ended after {ended} steps."


def _others(now: Mapping[str, Any], preset: Mapping[str, Any]) -> Iterator[str]:
    """List the other settings that are not the preset's."""
    then = dict(flat(preset))
    other = [
        f"{name} {value} ({then[name]})"
        for name, value in flat(now)
        if value != then.get(name) and name not in _DEAL and name.rpartition(".")[2] not in _LENGTHS
    ]
    if other:
        yield f"Settings that differ from the preset's, whose values stand in brackets: {'; '.join(other)}."
