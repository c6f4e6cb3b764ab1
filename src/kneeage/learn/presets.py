"""Presets of all trainings, ``key=value`` changes to them, and the resolved configuration that is kept with a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, is_dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

from omegaconf import OmegaConf
from pydantic import ConfigDict
from yaml import YAMLError  # type: ignore[import-untyped]

from kneeage.core.errors import UsageError
from kneeage.io.output import whole_file
from kneeage.learn.settings import (
    COMPLETED_YEARS,
    NO_AUGMENTATION,
    AgeModelSettings,
    AnySettings,
    AugmentSettings,
    EndToEndSettings,
    Fact,
    SegmenterSettings,
    as_json_object,
    check_size,
    from_json_object,
)

CONFIG_FILE = "config.yaml"
# Ends of the keys that say how long a training is.
_STEPS, _EPOCHS = "fit.max_steps", "fit.epochs"


@dataclass(frozen=True)
class TrainingSettings:
    """Settings of all trainings of a study.

    Args:
        model: What estimates the age: ``"age_model"`` sees the regions that a segmenter found, ``"end_to_end"`` sees
            whole slices through a U-Net of its own.
        segmenter: The segmenter; with ``"end_to_end"`` the U-Net before it is trained further.
        age_model: The model over regions.
        end_to_end: The model over whole slices.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    model: Literal["age_model", "end_to_end"] = "age_model"
    segmenter: SegmenterSettings = field(default_factory=SegmenterSettings)
    age_model: AgeModelSettings = field(default_factory=AgeModelSettings)
    end_to_end: EndToEndSettings = field(default_factory=EndToEndSettings)

    def __post_init__(self) -> None:
        """Refuse slices that the U-Net cannot halve, before anything is trained."""
        check_size(self.end_to_end.size, self.segmenter.widths)


def _paper() -> TrainingSettings:
    """Read the paper's protocol as faithfully as it says: Adam, 1e-3 to 3e-4, batches of 8, 200 epochs, from scratch.

    What it does not say is ours: the steps of the U-Net's own training, no augmentation, auxiliary heads at 0.3, and
    batch norm in both networks. ``age_model`` is the same GoogLeNet on the regions of a segmenter that stays as it is.
    """
    end_to_end = EndToEndSettings()
    protocol = end_to_end.fit
    return TrainingSettings(
        model="end_to_end",
        segmenter=SegmenterSettings(
            fit=replace(protocol, epochs=None),
            augment=NO_AUGMENTATION,
            architecture="classic",
            widths=(64, 128, 256, 512, 1024),
        ),
        age_model=AgeModelSettings(
            fit=protocol,
            augment=NO_AUGMENTATION,
            inputs="masked",
            target="classes",
            age_edges_years=COMPLETED_YEARS,
            slices_per_subject=1,
            width=1.0,
        ),
        end_to_end=end_to_end,
    )


def _forensic() -> TrainingSettings:
    """Set the age model of the bundle that ships: both sexes, 8 to 26 years, facts beside the image.

    Its regions are changed further than those of the default, as it meets hospitals that it never saw.
    """
    augment = AugmentSettings(scale=0.05, drop_grey=0.15, drop_masks=0.15)
    return TrainingSettings(
        age_model=AgeModelSettings(facts=get_args(Fact), head="hidden", augment=augment, label_sigma_years=0.5)
    )


PRESETS = {"default": TrainingSettings(), "forensic": _forensic(), "paper": _paper()}


def preset(name: str) -> TrainingSettings:
    """Give a preset by its name.

    Raises:
        UsageError: There is none of this name.
    """
    if name not in PRESETS:
        raise UsageError(f"there is no preset {name!r}; take one of {', '.join(PRESETS)}")
    return PRESETS[name]


def overridden(settings: AnySettings, changes: Sequence[str], others: Sequence[str] = ()) -> AnySettings:
    """Change settings by ``key=value``.

    A number of steps takes the place of the epochs that a preset may have.

    Args:
        settings: Any of the settings; they stay as they are.
        changes: Such as ``age_model.fit.batch_size=8`` or ``age_model.age_edges_years=[10,11,12]``; values are YAML.
        others: Keys that are known elsewhere, and may be the one that is meant where a key is unknown.

    Returns:
        New settings.

    Raises:
        UsageError: A change is no ``key=value``, its key is unknown, its value does not fit, or a training is given
            both epochs and steps.
    """
    wanted = _parsed([*changes, *_no_epochs(changes)])
    _require_known(type(settings), wanted, others)
    merged = OmegaConf.merge(OmegaConf.create(as_json_object(settings)), wanted)
    return from_json_object(type(settings), _plain(merged))


def save_config(settings: AnySettings, path: Path) -> None:
    """Write resolved settings as YAML.

    Raises:
        OutputError: Something lies at the path, or it cannot be written.
    """
    with whole_file(path) as temporary:
        temporary.write_text(OmegaConf.to_yaml(OmegaConf.create(as_json_object(settings))), encoding="utf-8")


def load_config(kind: type[AnySettings], path: Path) -> AnySettings:
    """Read what `save_config` wrote; keys that are missing get their defaults.

    Raises:
        UsageError: The file is not there or no YAML, a key is unknown, or a value does not fit.
    """
    try:
        raw = _plain(OmegaConf.load(path))
    except (OSError, YAMLError) as error:
        raise UsageError(f"{path.name} cannot be read as YAML: {error}") from error
    if not isinstance(raw, dict):
        raise UsageError(f"{path.name} must hold keys and values; found {type(raw).__name__}")
    _require_known(kind, raw)
    return from_json_object(kind, raw)


def _no_epochs(changes: Sequence[str]) -> Iterator[str]:
    """Give the changes that follow from giving a training steps: it has no epochs."""
    values = {key: value for key, _, value in (change.partition("=") for change in changes)}
    for key in values:
        if key.endswith(_STEPS):
            epochs = key.removesuffix(_STEPS) + _EPOCHS
            if values.get(epochs, "null") != "null":
                raise UsageError(f"{key} and {epochs} both say how long a training is; give one of them")
            yield f"{epochs}=null"


def _parsed(changes: Sequence[str]) -> dict[str, Any]:
    """Turn ``key=value`` into nested keys."""
    for change in changes:
        if not change.partition("=")[1]:
            raise UsageError(f"{change!r} is no key=value, such as age_model.fit.batch_size=8")
    try:
        parsed: dict[str, Any] = _plain(OmegaConf.from_dotlist(list(changes)))
    except YAMLError as error:
        raise UsageError(f"a value of {' '.join(changes)} is no YAML: {error}") from error
    return parsed


def _plain(config: Any) -> Any:
    """Turn a configuration into dictionaries and lists; references to elsewhere stay text and thus fit nowhere."""
    return OmegaConf.to_container(config, resolve=False)


def _require_known(kind: type[AnySettings], raw: dict[str, Any], others: Sequence[str] = ()) -> None:
    """Refuse the first unknown key and name the nearest known one."""
    known = list(_known_keys(kind))
    for key in _keys(raw):
        if key in known:
            continue
        inside = [name for name in known if name.startswith(f"{key}.")]
        if inside:
            raise UsageError(f"{key} is a group of settings; name one of them, such as {inside[0]}")
        (nearest,) = get_close_matches(key, [*others, *known], n=1, cutoff=0)
        raise UsageError(f"there is no setting {key}; the nearest is {nearest}")


def _known_keys(kind: type, prefix: str = "") -> Iterator[str]:
    """List the dotted keys of all settings of a dataclass."""
    for name, hint in get_type_hints(kind).items():
        if isinstance(hint, type) and is_dataclass(hint):
            yield from _known_keys(hint, f"{prefix}{name}.")
        elif not name.startswith("__"):
            yield prefix + name


def _keys(raw: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """List the dotted keys of nested dictionaries."""
    for name, value in raw.items():
        if isinstance(value, dict):
            yield from _keys(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"
