"""A bundle is whole and as it was made, or it is refused with what to do."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kneeage.core.errors import BundleError, OutputError
from kneeage.core.manifest import BundleManifest
from kneeage.io.bundle import load_bundle, write_bundle

MODELS = {"segment.onnx": b"segment weights", "age.onnx": b"age weights"}
REMEDY = "copy the bundle again from where it was published, or make it anew"


@pytest.fixture
def manifest() -> BundleManifest:
    """The smallest manifest."""
    return BundleManifest.model_validate(
        {
            "name": "small",
            "version": "1",
            "population": "virtual",
            "licence": "Apache-2.0",
            "plane": "coronal",
            "sexes": ["male", "female"],
            "age_range_years": [8, 26],
            "age_edges_years": [8, 14, 20, 26],
            "labels": {"background": 0, "distal_femur_physis": 1},
            "recipe": {"name": "default", "steps": [{"step": "orient"}]},
            "segment": {"file": "segment.onnx", "label_values": [0, 1]},
            "age": {"file": "age.onnx", "region_shape": [128, 128], "max_slices": 8, "min_slices": 2},
            "training_split_sha256": "0" * 64,
        }
    )


@pytest.fixture
def folder(tmp_path: Path, manifest: BundleManifest) -> Path:
    """A written bundle."""
    write_bundle(tmp_path / "knee bundle", manifest, MODELS, "# Card\n")
    return tmp_path / "knee bundle"


def edit_manifest(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change bundle.json and vouch for the change in SHA256SUMS."""
    raw = json.loads((folder / "bundle.json").read_text())
    change(raw)
    rewrite(folder, "bundle.json", json.dumps(raw).encode())


def rewrite(folder: Path, name: str, content: bytes) -> None:
    """Write a file and vouch for it in SHA256SUMS."""
    (folder / name).write_bytes(content)
    lines = [line for line in (folder / "SHA256SUMS").read_text().splitlines() if not line.endswith(f"  {name}")]
    lines.append(f"{hashlib.sha256(content).hexdigest()}  {name}")
    (folder / "SHA256SUMS").write_text("\n".join(lines) + "\n")


def test_written_bundle_loads(folder: Path, manifest: BundleManifest) -> None:
    bundle = load_bundle(folder)
    assert bundle.manifest == manifest
    assert bundle.folder == folder
    assert bundle.sha256 == hashlib.sha256((folder / "SHA256SUMS").read_bytes()).hexdigest()
    assert {name: bundle.model_bytes(name) for name in MODELS} == MODELS


def test_sums_are_as_sha256sum_writes_them(folder: Path) -> None:
    lines = (folder / "SHA256SUMS").read_text().splitlines()
    assert [line[64:] for line in lines] == ["  MODEL_CARD.md", "  age.onnx", "  bundle.json", "  segment.onnx"]


@pytest.mark.parametrize("name", ["bundle.json", "age.onnx", "segment.onnx", "MODEL_CARD.md"])
def test_altered_byte_is_found(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[3] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(BundleError, match=rf"{name} of bundle 'knee bundle' was altered: .*; {REMEDY}"):
        load_bundle(folder)


@pytest.mark.parametrize("name", ["bundle.json", "age.onnx", "segment.onnx", "MODEL_CARD.md", "SHA256SUMS"])
def test_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(BundleError, match=f"has no {name}; {REMEDY}"):
        load_bundle(folder)


@pytest.mark.parametrize("name", ["extra.onnx", "EXTRA.ONNX", "sub/extra.onnx"])
def test_unlisted_network_is_refused(folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"who made this?")
    with pytest.raises(BundleError, match=f"holds '{name}', which SHA256SUMS does not list; remove it"):
        load_bundle(folder)


@pytest.mark.parametrize("name", ["bundle.json", "age.onnx", "segment.onnx", "MODEL_CARD.md"])
def test_file_that_nobody_vouches_for_is_refused(folder: Path, name: str) -> None:
    sums = (folder / "SHA256SUMS").read_text().splitlines(keepends=True)
    (folder / "SHA256SUMS").write_text("".join(line for line in sums if name not in line))
    with pytest.raises(BundleError, match=f"{name}.*list|list.*{name}"):
        load_bundle(folder)


@pytest.mark.parametrize("version", ["0.9", "2.0", None])
def test_other_schema_version_is_refused(folder: Path, version: str | None) -> None:
    edit_manifest(folder, lambda raw: raw.update(schema_version=version))
    with pytest.raises(BundleError, match=rf"follows schema {version!r}.*; use a bundle made for this version"):
        load_bundle(folder)


def test_the_earlier_schema_is_read(folder: Path) -> None:
    assert load_bundle(folder).manifest.schema_version == "1.1"
    edit_manifest(folder, lambda raw: raw.update(schema_version="1.0"))
    assert load_bundle(folder).manifest.schema_version == "1.0"


def test_version_is_looked_at_before_unknown_keys(folder: Path) -> None:
    edit_manifest(folder, lambda raw: raw.update(schema_version="2.0", new_key=1))
    with pytest.raises(BundleError, match=r"follows schema '2.0'"):
        load_bundle(folder)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda raw: raw.update(extra=1), "extra: Extra inputs are not permitted"),
        (lambda raw: raw["age"].update(gpu=True), "age.gpu: Extra inputs are not permitted"),
        (lambda raw: raw.pop("plane"), "plane: Field required"),
        (lambda raw: raw.update(age_edges_years=[8, 7, 9]), "the whole: .*age_edges_years must rise"),
    ],
)
def test_manifest_fault_is_named(folder: Path, change: Callable[[dict[str, Any]], object], fault: str) -> None:
    edit_manifest(folder, change)
    with pytest.raises(BundleError, match=rf"does not follow schema 1.1: {fault}.*{REMEDY}"):
        load_bundle(folder)


@pytest.mark.parametrize(("content", "fault"), [(b"{", "not valid JSON"), (b"[1]", "follows schema None")])
def test_manifest_that_is_no_manifest_is_refused(folder: Path, content: bytes, fault: str) -> None:
    rewrite(folder, "bundle.json", content)
    with pytest.raises(BundleError, match=fault):
        load_bundle(folder)


@pytest.mark.parametrize("line", ["0" * 64 + "  ../secret", "0" * 64 + "  /etc/passwd", "short  a.onnx", "words"])
def test_sum_line_that_is_no_sum_is_refused(folder: Path, line: str) -> None:
    with (folder / "SHA256SUMS").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(BundleError, match="has a line that is no checksum"):
        load_bundle(folder)


def test_file_listed_twice_is_refused(folder: Path) -> None:
    sums = (folder / "SHA256SUMS").read_text()
    (folder / "SHA256SUMS").write_text(sums + sums.splitlines()[0] + "\n")
    with pytest.raises(BundleError, match="lists a file twice"):
        load_bundle(folder)


def test_absent_bundle_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"no model bundle at .*; give the folder that holds bundle.json"):
        load_bundle(tmp_path / "nowhere")


def test_network_altered_after_loading_is_not_handed_out(folder: Path) -> None:
    bundle = load_bundle(folder)
    (folder / "age.onnx").write_bytes(b"other weights")
    with pytest.raises(BundleError, match=r"age.onnx .* was altered"):
        bundle.model_bytes("age.onnx")


def test_sums_altered_after_loading_are_not_believed(folder: Path) -> None:
    bundle = load_bundle(folder)
    rewrite(folder, "age.onnx", b"other weights")
    with pytest.raises(BundleError, match="SHA256SUMS of bundle 'knee bundle' was altered after loading"):
        bundle.model_bytes("age.onnx")


@pytest.mark.parametrize("name", ["other.onnx", "../segment.onnx"])
def test_unlisted_file_is_not_handed_out(folder: Path, name: str) -> None:
    with pytest.raises(BundleError, match="does not list the file"):
        load_bundle(folder).model_bytes(name)


def test_writing_replaces_an_earlier_bundle(folder: Path, manifest: BundleManifest) -> None:
    write_bundle(folder, manifest, {**MODELS, "third.onnx": b"3"}, "# Card\n")
    write_bundle(folder, manifest, {**MODELS, "age.onnx": b"better"}, "# Card\n")
    assert load_bundle(folder).model_bytes("age.onnx") == b"better"
    assert not (folder / "third.onnx").exists()


def test_writing_needs_every_network(tmp_path: Path, manifest: BundleManifest) -> None:
    with pytest.raises(BundleError, match=r"needs the file 'age.onnx'"):
        write_bundle(tmp_path / "b", manifest, {"segment.onnx": b""}, "# Card\n")
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("name", ["../age.onnx", "age.pt", "sub/age.onnx"])
def test_writing_takes_plain_names_only(tmp_path: Path, manifest: BundleManifest, name: str) -> None:
    with pytest.raises(BundleError, match=r"has a plain name and ends in .onnx"):
        write_bundle(tmp_path / "b", manifest, {**MODELS, name: b""}, "# Card\n")


def test_a_file_that_the_manifest_names_is_kept(tmp_path: Path, manifest: BundleManifest) -> None:
    named = manifest.model_copy(update={"reference_knees": "knees.png"})
    files = {**MODELS, "knees.png": b"knees"}
    write_bundle(tmp_path / "b", named, files, "# Card\n")
    assert load_bundle(tmp_path / "b").files() == files
    with pytest.raises(BundleError, match=r"needs the file 'knees.png'"):
        write_bundle(tmp_path / "c", named, MODELS, "# Card\n")


def test_place_that_cannot_be_written_is_said(tmp_path: Path, manifest: BundleManifest) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot write the bundle"):
        write_bundle(tmp_path / "file" / "b", manifest, MODELS, "# Card\n")
