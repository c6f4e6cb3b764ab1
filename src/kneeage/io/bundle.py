"""Read and write model bundles: a folder with ``bundle.json``, ONNX files, ``MODEL_CARD.md`` and ``SHA256SUMS``.

A manifest may name further files, such as reference knees; they are kept and checked in the same way.

A bundle is believed only when it is whole: every file is checked against ``SHA256SUMS`` at load and again when its
bytes are handed out, and a network that is not listed is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

import kneeage
from kneeage.core.errors import BundleError, OutputError
from kneeage.core.manifest import READ_SCHEMA_VERSIONS, BundleManifest

MANIFEST_FILE = "bundle.json"
CARD_FILE = "MODEL_CARD.md"
DATASHEET_FILE = "DATASHEET.md"
SUMS_FILE = "SHA256SUMS"
SHIPPED_BUNDLE = Path(kneeage.__file__).parent / "bundles" / "virtual-knee"
_REMEDY = "copy the bundle again from where it was published, or make it anew"


@dataclass(frozen=True)
class Bundle:
    """A verified model bundle.

    Args:
        manifest: What the bundle says about itself.
        folder: Where it lies.
        sha256: SHA-256 of its ``SHA256SUMS`` file, in hexadecimal: the identity of the bundle.
    """

    manifest: BundleManifest
    folder: Path
    sha256: str

    def files(self) -> dict[str, bytes]:
        """Read every file of the bundle but the manifest, the model card and the checksums.

        Raises:
            BundleError: A file is missing, or was altered since the bundle was loaded.
        """
        names = _parse_sums(self.folder, _read(self.folder, SUMS_FILE))
        return {name: self.model_bytes(name) for name in sorted(names) if name not in (MANIFEST_FILE, CARD_FILE)}

    def model_bytes(self, file: str) -> bytes:
        """Read one file of the bundle, such as a stage's ONNX file.

        Args:
            file: Name inside the bundle, as listed in ``SHA256SUMS``.

        Returns:
            The content, with its checksum verified on these very bytes.

        Raises:
            BundleError: The file is not listed, is missing, or was altered since the bundle was loaded.
        """
        listing = _read(self.folder, SUMS_FILE)
        if hashlib.sha256(listing).hexdigest() != self.sha256:
            raise BundleError(f"{SUMS_FILE} of bundle {self.folder.name!r} was altered after loading; {_REMEDY}")
        sums = _parse_sums(self.folder, listing)
        if file not in sums:
            raise BundleError(f"bundle {self.folder.name!r} does not list the file {file!r}; {_REMEDY}")
        return _verified(self.folder, file, sums[file])


def load_bundle(path: Path | None = None) -> Bundle:
    """Load a bundle and verify every file of it.

    Args:
        path: Folder of the bundle; None: the bundle that ships with the package.

    Returns:
        The bundle; its manifest is valid and all of its files are whole.

    Raises:
        BundleError: A file is missing, altered or not listed, or the manifest does not fit this version.
    """
    folder = Path(path) if path is not None else SHIPPED_BUNDLE
    if not folder.is_dir():
        raise BundleError(f"no model bundle at {str(folder)!r}; give the folder that holds {MANIFEST_FILE}")
    listing = _read(folder, SUMS_FILE)
    sums = _parse_sums(folder, listing)
    _require_listed_networks(folder, sums)
    contents = {name: _verified(folder, name, digest) for name, digest in sums.items()}
    manifest = _manifest(folder, contents.get(MANIFEST_FILE))
    _require_files(folder, sums, manifest)
    return Bundle(manifest, folder, hashlib.sha256(listing).hexdigest())


def write_bundle(folder: Path, manifest: BundleManifest, files: dict[str, bytes], model_card: str) -> None:
    """Write a bundle and verify it by loading it.

    Args:
        folder: Folder of the bundle; it is made if it is not there. A bundle that lies there is replaced.
        manifest: What the bundle says about itself; it names files of ``files``.
        files: ONNX files, and other files that the manifest names, by name.
        model_card: Text of ``MODEL_CARD.md``.

    Raises:
        BundleError: The manifest names a file that is not in ``files``, or the other way round, or a name is not plain.
        OutputError: The folder cannot be written.
    """
    contents = _contents(manifest, files, model_card)
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    _require_files(folder, sums, manifest)
    listing = "".join(f"{sums[name]}  {name}\n" for name in sorted(sums)).encode()
    try:
        _replace_files(folder, {**contents, SUMS_FILE: listing})
    except OSError as error:
        raise OutputError(f"cannot write the bundle: {error.strerror or error}; choose another folder") from error
    load_bundle(folder)


def _contents(manifest: BundleManifest, files: dict[str, bytes], model_card: str) -> dict[str, bytes]:
    """Collect the files of a bundle, without the checksums."""
    named = {DATASHEET_FILE, manifest.reference_knees}
    for name in files:
        if not _is_plain_name(name) or (not name.endswith(".onnx") and name not in named):
            raise BundleError(
                f"a file of a bundle has a plain name and ends in .onnx, or the manifest names it; found {name!r}; "
                "rename it"
            )
    described = json.dumps(manifest.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n"
    return {MANIFEST_FILE: described.encode(), CARD_FILE: model_card.encode(), **files}


def _replace_files(folder: Path, contents: dict[str, bytes]) -> None:
    """Write the files and remove the networks of an earlier bundle."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / SUMS_FILE).unlink(missing_ok=True)
    for stale in [path for path in folder.rglob("*.onnx") if path.name not in contents]:
        stale.unlink()
    for name, content in contents.items():
        (folder / name).write_bytes(content)


def _read(folder: Path, name: str) -> bytes:
    """Read a file of a bundle."""
    try:
        return (folder / name).read_bytes()
    except FileNotFoundError:
        raise BundleError(f"bundle {folder.name!r} has no {name}; {_REMEDY}") from None
    except OSError as error:
        raise BundleError(f"{name} of bundle {folder.name!r} cannot be read ({error.strerror}); {_REMEDY}") from error


def _verified(folder: Path, name: str, digest: str) -> bytes:
    """Read a file and compare its SHA-256 with the listed one."""
    content = _read(folder, name)
    found = hashlib.sha256(content).hexdigest()
    if found != digest:
        raise BundleError(
            f"{name} of bundle {folder.name!r} was altered: its SHA-256 begins {found[:12]}, "
            f"{SUMS_FILE} lists {digest[:12]}; {_REMEDY}"
        )
    return content


def _parse_sums(folder: Path, listing: bytes) -> dict[str, str]:
    """Read ``SHA256SUMS`` (digest, two spaces, name) into digests by name."""
    lines = [line for line in listing.decode(errors="replace").splitlines() if line.strip()]
    sums = dict(_sum_lines(folder, lines))
    if len(sums) != len(lines):
        raise BundleError(f"{SUMS_FILE} of bundle {folder.name!r} lists a file twice; {_REMEDY}")
    return sums


def _sum_lines(folder: Path, lines: list[str]) -> Iterator[tuple[str, str]]:
    """Give name and digest of each line."""
    for line in lines:
        digest, _, name = line.partition(" ")
        name = name.removeprefix(" ").removeprefix("*").strip()
        if len(digest) != 64 or not _is_plain_name(name):
            raise BundleError(f"{SUMS_FILE} of bundle {folder.name!r} has a line that is no checksum; {_REMEDY}")
        yield name, digest.lower()


def _is_plain_name(name: str) -> bool:
    """Say whether a name stays inside its folder."""
    return bool(name) and name not in (".", "..") and not set(name) & set("/\\:\0")


def _require_listed_networks(folder: Path, sums: dict[str, str]) -> None:
    """Refuse a network that nobody vouches for."""
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.suffix.lower() == ".onnx")
    for name in sorted(found):
        if name not in sums:
            raise BundleError(
                f"bundle {folder.name!r} holds {name!r}, which {SUMS_FILE} does not list; remove it, or {_REMEDY}"
            )


def _require_files(folder: Path, sums: dict[str, str], manifest: BundleManifest) -> None:
    """Demand a model card and every file that the manifest names."""
    named = [manifest.segment.file, *manifest.age.files, manifest.reference_knees]
    for name in (CARD_FILE, *(file for file in named if file is not None)):
        if name not in sums:
            raise BundleError(f"bundle {folder.name!r} needs the file {name!r}, which is not listed; {_REMEDY}")


def _manifest(folder: Path, content: bytes | None) -> BundleManifest:
    """Parse ``bundle.json``; the schema version is looked at first."""
    if content is None:
        raise BundleError(f"{SUMS_FILE} of bundle {folder.name!r} does not list {MANIFEST_FILE}; {_REMEDY}")
    try:
        raw = json.loads(content)
    except ValueError as error:
        raise BundleError(f"{MANIFEST_FILE} of bundle {folder.name!r} is not valid JSON; {_REMEDY}") from error
    _require_schema_version(folder, raw)
    try:
        return BundleManifest.model_validate(raw)
    except ValidationError as error:
        raise BundleError(
            f"{MANIFEST_FILE} of bundle {folder.name!r} does not follow schema {raw['schema_version']}: "
            f"{_first_fault(error)}; {_REMEDY}"
        ) from error


def _require_schema_version(folder: Path, raw: object) -> None:
    """Refuse a bundle that was made for another version of the schema."""
    version = raw.get("schema_version") if isinstance(raw, dict) else None
    if version not in READ_SCHEMA_VERSIONS:
        raise BundleError(
            f"bundle {folder.name!r} follows schema {version!r}; kneeage {kneeage.__version__} reads "
            f"{' and '.join(READ_SCHEMA_VERSIONS)}; use a bundle made for this version, or the version that made the "
            "bundle"
        )


def _first_fault(error: ValidationError) -> str:
    """Name the first key that is wrong, and why."""
    fault = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in fault["loc"]) or "the whole"
    return f"{where}: {fault['msg']}"
