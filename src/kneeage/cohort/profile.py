"""The Basic Application Level Confidentiality Profile of DICOM, as the library ``dicom-anonymizer`` has it.

The library knows what is to be done with each attribute (PS3.15 table E.1-1) and does it on one level of a data set.
Some of its actions are replaced: a date that is to go is removed, not set to year 1; an emptied value has no length;
a sequence that is to be replaced is removed; and a UID follows from a secret of the run.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from pydicom import Dataset
from pydicom.multival import MultiValue

from kneeage.core.errors import UsageError

# Edition of the table.
PROFILE_EDITION = "2026c"

# Where a date must stand. The library's, of year 1, is none that `dciodvfy` takes.
_DUMMY_TIMES = {"DA": "19000101", "DT": "19000101000000", "TM": "000000"}

Tag = tuple[int, int]
NewUid = Callable[[str], str]
Action = Callable[[Dataset, Tag], None]


class Profile:
    """What is to be done with the attributes that the profile lists.

    Args:
        new_uid: Gives the UID that takes the place of one.

    Raises:
        UsageError: The library is not installed.
    """

    def __init__(self, new_uid: NewUid) -> None:
        library = _library()
        ours: dict[object, Action] = {
            library.empty: _empty,
            library.delete_or_empty: _empty,
            library.delete: _remove,
            library.delete_or_empty_or_replace_UID: _remove,
        }
        self._library = library
        self._new_uid = new_uid
        table: dict[Any, object] = library.initialize_actions(f"dicomfields_{PROFILE_EDITION}")
        # The other keys stand for overlays and curves, which `kneeage.cohort.scrub` removes.
        self._actions = {tag: ours.get(action, self._replace) for tag, action in table.items() if len(tag) == 2}

    def __contains__(self, tag: Tag) -> bool:
        """Say whether the profile lists an attribute."""
        return tag in self._actions

    def apply(self, level: Dataset) -> None:
        """Do what the profile asks on one level of a data set, and remove private attributes on all."""
        tags = ((tag.group, tag.element) for tag in level.keys())  # noqa: SIM118 (a data set goes by its elements)
        present = {tag: self._actions[tag] for tag in tags if tag in self}
        self._library.anonymize_dataset(level, delete_private_tags=True, base_rules_gen=lambda: present)

    def _replace(self, level: Dataset, tag: Tag) -> None:
        """Put a dummy in place of a value, and a new UID in place of a UID; a sequence is removed."""
        element = level[tag]
        if element.VR == "UI":
            replace_uids(level, tag, self._new_uid)
        elif element.VR in _DUMMY_TIMES:
            element.value = _DUMMY_TIMES[element.VR]
        elif element.VR == "SQ":
            del level[tag]
        else:
            self._replace_plainly(level, tag)

    def _replace_plainly(self, level: Dataset, tag: Tag) -> None:
        """Put the library's dummy in place of a value; it has none for some binary values, which go."""
        try:
            self._library.replace_element(level[tag])
        except NotImplementedError:
            del level[tag]


def replace_uids(level: Dataset, tag: Tag, new_uid: NewUid) -> None:
    """Replace the UIDs of an attribute, one or many."""
    value = level[tag].value
    if isinstance(value, MultiValue):
        level[tag].value = [new_uid(str(uid)) for uid in value]
    elif value:
        level[tag].value = new_uid(str(value))


def _library() -> ModuleType:
    """Load the library.

    Raises:
        UsageError: It is not installed.
    """
    try:
        from dicomanonymizer import simpledicomanonymizer
    except ImportError as error:
        raise UsageError(
            f"de-identification needs {error.name}; install it with: pip install 'kneeage[cohort]'"
        ) from None
    library: ModuleType = simpledicomanonymizer
    return library


def _empty(level: Dataset, tag: Tag) -> None:
    """Leave an attribute without a value."""
    level[tag].clear()


def _remove(level: Dataset, tag: Tag) -> None:
    """Take an attribute out."""
    del level[tag]
