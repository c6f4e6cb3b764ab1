"""Ask a workstation from a script: ``python web_client.py http://127.0.0.1:8700 STUDY_FOLDER [USER PASSWORD]``.

It needs httpx. A server on this machine that asks for no login takes the first two arguments.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import httpx

PORTION = 200


def connect(address: str, login: list[str]) -> httpx.Client:
    """Open a session; every change carries its token."""
    client = httpx.Client(base_url=address, timeout=60.0)
    session = client.get("/api/session").raise_for_status().json()
    if login:
        body = {"name": login[0], "password": login[1]}
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


def wait(client: httpx.Client, examination: str) -> dict[str, object]:
    """Wait until the work on an examination has ended."""
    while True:
        found: dict[str, object] = client.get(f"/api/examinations/{examination}").raise_for_status().json()
        if found["state"] not in ("inspecting", "queued", "running"):
            return found
        time.sleep(0.2)


def main(address: str, folder: str, *login: str) -> None:
    """Send a study, ask, and write the answer to stdout."""
    client = connect(address, list(login))
    examination = client.post("/api/examinations", json={"reference": "from a script"}).raise_for_status().json()["id"]
    send(client, examination, sorted(path for path in Path(folder).rglob("*") if path.is_file()))
    question = {"sex": "male", "thresholds": [14, 18]}
    run = client.post(f"/api/examinations/{examination}/runs", json=question).raise_for_status().json()["number"]
    wait(client, examination)
    result = client.get(f"/api/examinations/{examination}/runs/{run}/result").raise_for_status()
    sys.stdout.write(result.text + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
