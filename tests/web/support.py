"""A server in memory with a bundle of blocks, and a worker beside it."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient

from kneeage.io.bundle import load_bundle, write_bundle
from kneeage.io.nifti import write_image
from kneeage.service.desk import Desk, DeskPlan
from kneeage.service.tables import sqlite_url
from kneeage.web.app import make_app
from kneeage.web.settings import Limits, WebSettings
from tests.infer.knees import age_model, as_image, block_knee, manifest, segment_model

SMALL = Limits(file_bytes=2**20, examination_bytes=2**21, files=20, request_files=10, free_bytes=0, waiting=100)
PASSWORD = "correct horse battery"


def make_bundle(folder: Path, **changes: object) -> Path:
    """A bundle that reads blocks exactly."""
    made = manifest(**changes)
    models = {
        "segment.onnx": segment_model(),
        "age.onnx": age_model(made.age_edges_years, oldest=22, years_per_open=80),
    }
    write_bundle(folder, made, models, "# Blocks\n")
    return load_bundle(folder).folder


def knee_bytes(folder: Path) -> bytes:
    """A knee of blocks as a NIfTI file."""
    path = folder / "knee.nii.gz"
    if not path.exists():
        write_image(path, as_image(block_knee()))
    return path.read_bytes()


def settings_of(data: Path, bundle: Path, **changes: Any) -> WebSettings:
    """Settings of a small server."""
    values = {"url": sqlite_url(data / "register.sqlite3"), "bundles": (bundle,), "limits": SMALL, **changes}
    return WebSettings(data=data, **values)


@dataclass
class Door:
    """A client of a server in memory, and a worker for it."""

    settings: WebSettings
    client: TestClient = field(init=False)
    desk: Desk = field(init=False)

    def __post_init__(self) -> None:
        app = make_app(self.settings)
        self.client = TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False)
        self.desk = self.new_desk("first")
        self.take_token()

    def new_desk(self, name: str, lease_seconds: float = 60.0) -> Desk:
        settings = self.settings
        plan = DeskPlan(settings.data, settings.url, settings.bundles, threads=1, lease_seconds=lease_seconds)
        return plan.worker(name)

    def take_token(self) -> str:
        token = str(self.client.get("/api/session").json()["csrf_token"])
        self.client.headers["X-CSRF-Token"] = token
        return token

    def open(self, reference: str = "") -> str:
        answer = self.client.post("/api/examinations", json={"reference": reference})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def send(self, key: str, *files: tuple[str, bytes]) -> Any:
        parts = [("files", (name, content)) for name, content in files]
        return self.client.post(f"/api/examinations/{key}/files", files=parts)

    def ask(self, key: str, **question: Any) -> Any:
        return self.client.post(f"/api/examinations/{key}/runs", json={"sex": "male", "explain": False, **question})

    def show(self, key: str) -> Any:
        return self.client.get(f"/api/examinations/{key}").json()

    def work(self) -> None:
        """Let the worker do everything that waits."""
        while self.desk.work_once():
            pass

    def answered(self, knee: bytes) -> str:
        """An examination with an answer, whose documents wait to be made."""
        key = self.open()
        assert self.send(key, ("knee.nii.gz", knee)).status_code == 200
        assert self.ask(key).status_code == 202
        assert self.desk.work_once()
        return key

    def audit(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.client.get("/api/audit").json()["items"]
        return found


def files_of(door: Door, key: str, number: int, name: str) -> bytes:
    """A document of a run."""
    answer = door.client.get(f"/api/examinations/{key}/runs/{number}/files/{name}")
    assert answer.status_code == 200, answer.text
    return bytes(answer.content)


def zipped(files: Iterable[tuple[str, bytes]]) -> bytes:
    """A zip of files."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files:
            archive.writestr(name, content)
    return held.getvalue()


def code(answer: Any) -> tuple[int, str]:
    """Status and code of an error."""
    return answer.status_code, answer.json()["error"]["code"]
