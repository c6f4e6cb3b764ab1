"""The bundles that a server may work with: the one that ships, and those in folders that the operator names."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kneeage.core.errors import BundleError, UsageError
from kneeage.io.bundle import CARD_FILE, SHIPPED_BUNDLE, SUMS_FILE, Bundle, load_bundle

_ID_CHARACTERS = 16


@dataclass(frozen=True)
class Shelved:
    """A bundle on the shelf.

    Args:
        id: First characters of the SHA-256 of its list of checksums.
        folder: Where it lies.
        bundle: The bundle; None where it cannot be used.
        problem: Why not.
    """

    id: str
    folder: Path
    bundle: Bundle | None
    problem: str | None

    @property
    def is_shipped(self) -> bool:
        """Whether it came with the package."""
        return self.folder == SHIPPED_BUNDLE

    @property
    def card(self) -> str:
        """Text of its model card; empty where there is none."""
        try:
            return (self.folder / CARD_FILE).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""


class Shelf:
    """Bundles by identifier, read when the server starts.

    Args:
        folders: Folders of bundles, the preferred one first.

    Raises:
        BundleError: None of them can be used.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        found = [_shelved(folder) for folder in folders]
        self.items = list({one.id: one for one in reversed(found)}.values())[::-1]
        if not any(one.bundle is not None for one in self.items):
            raise BundleError(next((one.problem for one in self.items if one.problem), "no bundle was named"))

    @property
    def first(self) -> Shelved:
        """The first one that can be used."""
        return next(one for one in self.items if one.bundle is not None)

    def usable(self, wanted: object) -> Shelved:
        """Give the bundle of this identifier if it can be used, else the first one that can."""
        found = self.find(str(wanted))
        return found if found is not None and found.bundle is not None else self.first

    def find(self, wanted: str) -> Shelved | None:
        """Give a bundle by its identifier."""
        return next((one for one in self.items if one.id == wanted), None)


def bundle_folders(bundle: Path | None, parent: Path | None) -> list[Path]:
    """List the folders of a shelf.

    Args:
        bundle: The preferred bundle; None: the one that ships.
        parent: Folder of folders of bundles.

    Raises:
        BundleError: The preferred one cannot be used: no other may answer in its place without a word.
        UsageError: There is no such folder of folders.
    """
    if bundle is not None:
        load_bundle(bundle)
    if parent is not None and not parent.is_dir():
        raise UsageError(f"{str(parent)!r} is no folder; give one that holds folders of bundles")
    more = [] if parent is None else sorted(path.parent for path in parent.glob(f"*/{SUMS_FILE}"))
    return [*([] if bundle is None else [bundle]), SHIPPED_BUNDLE, *more]


def bundle_id(sha256: str) -> str:
    """Give the identifier of a bundle from the SHA-256 of its list of checksums."""
    return sha256[:_ID_CHARACTERS]


def named(bundle: Bundle) -> dict[str, str]:
    """Name a bundle as the register does: ``id``, ``name``, ``version``, ``population``, ``sha256``."""
    manifest = bundle.manifest
    return {
        "id": bundle_id(bundle.sha256),
        "name": manifest.name,
        "version": manifest.version,
        "population": manifest.population,
        "sha256": bundle.sha256,
    }


def _shelved(folder: Path) -> Shelved:
    """Look at one bundle; one that is broken says why."""
    try:
        bundle = load_bundle(folder)
    except BundleError as error:
        token = hashlib.sha256(str(folder).encode()).hexdigest()[:_ID_CHARACTERS]
        return Shelved(token, folder, None, str(error))
    return Shelved(bundle_id(bundle.sha256), folder, bundle, None)
