"""Ask a workstation from a script: ``python web_client.py http://127.0.0.1:8700 STUDY_FOLDER REPORT.html [USER]``.

It needs httpx. A server that asks for a login gets the user's name, and the password from the variable
``KNEEAGE_PASSWORD``.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import httpx

PORTION = 200
BUSY = ("inspecting", "queued", "running")


def connect(address: str, user: str) -> httpx.Client:
    """Open a session; every change carries its token."""
    client = httpx.Client(base_url=address, timeout=60.0)
    session = client.get("/api/session").raise_for_status().json()
    if user:
        body = {"name": user, "password": os.environ["KNEEAGE_PASSWORD"]}
        header = {"X-CSRF-Token": session["csrf_token"]}
        session = client.post("/api/session", json=body, headers=header).raise_for_status().json()
    client.headers["X-CSRF-Token"] = session["csrf_token"]
    return client


def send(client: httpx.Client, examination: str, files: list[Path]) -> None:
    """Send files in portions; where the server is busy, wait as long as it says and try again."""
    while files:
        portion = [("files", (path.name, path.read_bytes())) for path in files[:PORTION]]
        answer = client.post(f"/api/examinations/{examination}/files", files=portion)
        if answer.status_code == 429:
            time.sleep(float(answer.headers["Retry-After"]))
            continue
        answer.raise_for_status()
        files = files[PORTION:]


def wait(client: httpx.Client, examination: str) -> dict[str, Any]:
    """Wait until the work on an examination has ended, and its documents are made."""
    while True:
        found: dict[str, Any] = client.get(f"/api/examinations/{examination}").raise_for_status().json()
        documents = (found["latest"] or {}).get("documents") or {"state": "done"}
        if found["state"] not in BUSY and documents["state"] not in BUSY:
            return found
        time.sleep(0.2)


def main(address: str, folder: str, report: str, user: str = "") -> None:
    """Send a study, ask, write the answer to stdout and the report into a file."""
    client = connect(address, user)
    examination = client.post("/api/examinations", json={"reference": "from a script"}).raise_for_status().json()["id"]
    send(client, examination, sorted(path for path in Path(folder).rglob("*") if path.is_file()))
    question = {"sex": "male", "thresholds": [14, 18]}
    run = client.post(f"/api/examinations/{examination}/runs", json=question).raise_for_status().json()["number"]
    found = wait(client, examination)
    base = f"/api/examinations/{examination}/runs/{run}"
    sys.stdout.write(client.get(f"{base}/result").raise_for_status().text + "\n")
    if "report.html" in found["latest"]["files"]:
        Path(report).write_bytes(client.get(f"{base}/files/report.html").raise_for_status().content)


if __name__ == "__main__":
    main(*sys.argv[1:])
