"""Ask a workstation from a script: ``python web_client.py http://127.0.0.1:8700 STUDY REPORT.html --sex female``.

It needs httpx. A server that asks for a login gets the name of ``--user``, and the password from the variable
``KNEEAGE_PASSWORD``. The answer goes to stdout, the report into the file; where no age is given, the exit code is 1.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any

import httpx

PORTION = 200
BUSY = ("inspecting", "queued", "running")


def said(answer: httpx.Response) -> Any:
    """Give the JSON of an answer; where it is an error, end with what the server says of it."""
    if answer.is_error:
        kind = answer.headers.get("content-type", "")
        sys.exit(answer.json()["error"]["message"] if kind.startswith("application/json") else str(answer))
    return answer.json()


def connect(address: str, user: str | None) -> httpx.Client:
    """Open a session; every change carries its token."""
    client = httpx.Client(base_url=address, timeout=60.0)
    session = said(client.get("/api/session"))
    if user is not None:
        body = {"name": user, "password": os.environ.get("KNEEAGE_PASSWORD", "")}
        session = said(client.post("/api/session", json=body, headers={"X-CSRF-Token": session["csrf_token"]}))
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
        said(answer)
        files = files[PORTION:]


def wait(client: httpx.Client, examination: str) -> dict[str, Any]:
    """Wait until the work on an examination has ended, and its documents are made."""
    while True:
        found: dict[str, Any] = said(client.get(f"/api/examinations/{examination}"))
        documents = (found["latest"] or {}).get("documents") or {"state": "done"}
        if found["state"] not in BUSY and documents["state"] not in BUSY:
            return found
        time.sleep(0.2)


def main() -> None:
    """Send a study, ask, write the answer to stdout and the report into a file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address")
    parser.add_argument("study", type=Path, help="folder of the study's files")
    parser.add_argument("report", type=Path, help="HTML file to write")
    parser.add_argument("--sex", choices=("female", "male"), help="not given: both are held equally likely")
    parser.add_argument("--threshold", type=float, action="append", help="age limit in years; may be given again")
    parser.add_argument("--user")
    options = parser.parse_args()
    files = sorted(path for path in options.study.rglob("*") if path.is_file())
    if not files:
        sys.exit(f"there is no file in {str(options.study)!r}")
    client = connect(options.address, options.user)
    examination = said(client.post("/api/examinations", json={"reference": "from a script"}))["id"]
    send(client, examination, files)
    question = {"sex": options.sex, "thresholds": options.threshold or [12, 14, 16, 18]}
    run = said(client.post(f"/api/examinations/{examination}/runs", json=question))["number"]
    found = wait(client, examination)
    base = f"/api/examinations/{examination}/runs/{run}"
    if found["latest"]["outcome"] is None:
        sys.exit(f"{found['state']}: {(found['reason'] or {}).get('message', '')}")
    sys.stdout.write(client.get(f"{base}/result").text + "\n")
    if "report.html" in found["latest"]["files"]:
        options.report.write_bytes(client.get(f"{base}/files/report.html").content)
    if found["latest"]["outcome"] != "estimated":
        sys.exit("no age is given; the answer says why")


if __name__ == "__main__":
    main()
