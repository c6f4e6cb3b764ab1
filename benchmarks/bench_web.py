"""Measure the workstation: how soon its pages and an answer are there, and what 50 clients do who upload at once.

The study is a virtual one; the pages are opened in Debian's Chromium, drawn without a graphics card.
Run it with ``make bench-web`` on a machine that does nothing else; it writes ``benchmarks/results/web.md``.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import httpx
from playwright.sync_api import Browser, Page, sync_playwright

import kneeage
from kneeage.core.machine import available_cores
from kneeage.phantom.cohort.write import write_virtual_dicom

REPORT = Path(__file__).parent / "results" / "web.md"
SEED = 20_260_701
PAGES = ("/", "/new", "/studies", "/bundles", "/about")
# Source: "It must show" of the workstation, docs/web.md.
BUDGETS = {"interactive": "2 s", "answer": "5 s"}
BUSY = ("inspecting", "queued", "running")
PATIENCE_SECONDS = 1800.0
KIBI = 1024
# WebGL 2 without a graphics card.
CHROMIUM = ["--no-sandbox", "--disable-dev-shm-usage", "--use-gl=angle", "--use-angle=swiftshader"]
CHROMIUM.append("--enable-unsafe-swiftshader")


@dataclass(frozen=True)
class Visit:
    """One examination on the page, in seconds after the upload's end."""

    answer: float
    outlines: float
    documents: float


@dataclass
class Crowd:
    """What became of clients that uploaded at once; times in seconds after the first began."""

    clients: int
    uploaded: float = 0.0
    answered: float = 0.0
    documents: float = 0.0
    turned_away: int = 0
    done: int = 0
    estimates: int = 0
    pages: list[float] = field(default_factory=list)
    mebibytes: float = 0.0


@dataclass(frozen=True)
class Server:
    """A running server."""

    pid: int
    address: str


def main() -> None:
    """Measure, print and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="examinations on the page after the first (default: 5)")
    parser.add_argument("--clients", type=int, default=50, help="clients that upload at once (default: 50)")
    parser.add_argument("--workers", type=int, default=2, help="workers of the server (default: 2)")
    parser.add_argument("--output", type=Path, default=REPORT, help="Markdown file to write")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        study = Path(scratch) / "study"
        write_virtual_dicom(study, SEED)
        files = sorted(study.rglob("*.dcm"))
        told = f"{len(files)} DICOM files, {sum(path.stat().st_size for path in files) / KIBI**2:.0f} MiB"
        with _serving(Path(scratch) / "pages", options.workers) as server:
            opened, visits = _on_the_page(server, files, options.runs)
        with _serving(Path(scratch) / "crowd", options.workers) as server:
            crowd = _crowd(server, files, options.clients)
    text = _report(told, options.workers, opened, visits, crowd)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(text, encoding="utf-8")
    sys.stdout.write(text)


@contextmanager
def _serving(data: Path, workers: int) -> Iterator[Server]:
    """Start a server, and end it with the block."""
    program = "from kneeage.cli import main; main()"
    command = [sys.executable, "-c", program, "serve", "--data", str(data), "--port", "0", "--workers", str(workers)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        said = iter(process.stderr or ())
        found = next((match for line in said if (match := re.search(r"http://[\d.]+:\d+", line))), None)
        if found is None:
            sys.exit("the server did not start")
        threading.Thread(target=lambda: [None for _ in said], daemon=True).start()
        try:
            yield Server(process.pid, found.group())
        finally:
            process.terminate()


def _on_the_page(server: Server, files: Sequence[Path], runs: int) -> tuple[dict[str, float], list[Visit]]:
    """Examine a study on the page, a first time and a few times more; then open every page in a browser that is new."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM)
        with _page(browser, server) as page:
            visits = [_visit(page, files) for _ in range(runs + 1)]
            answered = page.url.removeprefix(server.address)
        opened = {}
        for path in (*PAGES, answered):
            with _page(browser, server) as page:
                opened[path] = _interactive(page, path)
        browser.close()
    return opened, visits


@contextmanager
def _page(browser: Browser, server: Server) -> Iterator[Page]:
    """Open a page that nothing was loaded for before."""
    context = browser.new_context(base_url=server.address, viewport={"width": 1280, "height": 900})
    context.set_default_timeout(1000 * PATIENCE_SECONDS)
    try:
        yield context.new_page()
    finally:
        context.close()


def _visit(page: Page, files: Sequence[Path]) -> Visit:
    """Send a study and ask as soon as the page lets one."""
    _interactive(page, "/new")
    with page.expect_response(lambda answer: answer.url.endswith("/files")):
        page.set_input_files("#files", list(files))
    start = time.monotonic()
    page.click("#start:enabled")
    page.wait_for_selector("#estimated-age")
    answer = time.monotonic() - start
    page.wait_for_selector("#viewer[data-loaded]")
    outlines = time.monotonic() - start
    page.wait_for_selector('[data-file="report.pdf"]')
    return Visit(answer, outlines, time.monotonic() - start)


def _interactive(page: Page, path: str) -> float:
    """Open a page; give the seconds until it can be used."""
    start = time.monotonic()
    page.goto(path)
    page.wait_for_selector("html[data-interactive]")
    return time.monotonic() - start


def _crowd(server: Server, files: Sequence[Path], clients: int) -> Crowd:
    """Let clients upload at once, ask, and wait for what they asked for."""
    crowd, over = Crowd(clients), threading.Event()
    parts = [(path.name, path.read_bytes()) for path in files]
    watching = threading.Thread(target=_watch, args=(server, crowd, over))
    watching.start()
    start = time.monotonic()
    with ThreadPoolExecutor(clients) as pool:
        keys = list(pool.map(lambda _: _upload(server, parts, crowd), range(clients)))
    crowd.uploaded = time.monotonic() - start
    with _client(server) as client:
        crowd.answered = _wait(client, lambda case: case["state"] not in BUSY) - start
        crowd.documents = _wait(client, _has_documents) - start
        states = {case["id"]: case["state"] for case in _cases(client)}
        crowd.done = sum(states[key] == "done" for key in keys)
        crowd.estimates = _estimates(client)
    over.set()
    watching.join()
    return crowd


def _upload(server: Server, parts: list[tuple[str, bytes]], crowd: Crowd) -> str:
    """Be one client: a server that is busy is asked again after the time that it names."""
    with _client(server) as client:
        key = str(_patient(client, "/api/examinations", crowd, json={})["id"])
        _patient(client, f"/api/examinations/{key}/files", crowd, files=[("files", part) for part in parts])
        _patient(client, f"/api/examinations/{key}/runs", crowd, json={"sex": "male"})
        return key


def _patient(client: httpx.Client, path: str, crowd: Crowd, **body: Any) -> dict[str, Any]:
    """Post until the server takes it."""
    while (answer := client.post(path, **body)).status_code == httpx.codes.TOO_MANY_REQUESTS:
        crowd.turned_away += 1
        time.sleep(float(answer.headers["Retry-After"]))
    told: dict[str, Any] = answer.raise_for_status().json()
    return told


@contextmanager
def _client(server: Server) -> Iterator[httpx.Client]:
    """Open a session."""
    with httpx.Client(base_url=server.address, timeout=PATIENCE_SECONDS) as client:
        client.headers["X-CSRF-Token"] = client.get("/api/session").raise_for_status().json()["csrf_token"]
        yield client


def _cases(client: httpx.Client) -> list[dict[str, Any]]:
    """List the examinations."""
    found: list[dict[str, Any]] = client.get("/api/examinations?limit=200").raise_for_status().json()["items"]
    return found


def _has_documents(case: dict[str, Any]) -> bool:
    """Say whether the documents of an examination are no longer waited for."""
    made = case["latest"]["documents"]
    return made is None or made["state"] not in BUSY


def _wait(client: httpx.Client, is_over: Any) -> float:
    """Wait until something is so of all examinations; give the moment."""
    while not all(is_over(case) for case in _cases(client)):
        time.sleep(0.2)
    return time.monotonic()


def _estimates(client: httpx.Client) -> int:
    """Count the estimates on record."""
    lines, offset = 0, 0
    while found := client.get(f"/api/audit?limit=500&offset={offset}").raise_for_status().json()["items"]:
        lines += sum(line["action"] == "estimate done" for line in found)
        offset += len(found)
    return lines


def _watch(server: Server, crowd: Crowd, over: threading.Event) -> None:
    """Open the list again and again, and look at the memory of server and workers."""
    with _client(server) as client:
        while not over.wait(0.25):
            start = time.monotonic()
            client.get("/examinations").raise_for_status()
            _cases(client)
            crowd.pages.append(time.monotonic() - start)
            crowd.mebibytes = max(crowd.mebibytes, sum(map(_resident, _family(server.pid))))


def _family(pid: int) -> list[int]:
    """Give a process and those that it started."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(int(child) for child in children)]


def _resident(pid: int) -> float:
    """Give the memory of a process in MiB; nothing where it has just ended."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / KIBI**2


def _report(study: str, workers: int, opened: dict[str, float], visits: list[Visit], crowd: Crowd) -> str:
    """Lay out what was measured."""
    heading = [
        "# The workstation in the browser",
        "",
        f"`make bench-web`: a virtual study of {study}; {workers} workers; Chromium "
        "on the same machine, drawn without a graphics card.",
        f"kneeage {kneeage.__version__}, Python {platform.python_version()}, {platform.machine()}, "
        f"{available_cores()} cores.",
    ]
    return "\n".join([*heading, *_page_lines(opened, visits), *_crowd_lines(crowd), ""])


def _page_lines(opened: dict[str, float], visits: list[Visit]) -> list[str]:
    """Lay out the times on the page."""
    slowest = max(opened, key=lambda path: opened[path])
    named = "an examination" if slowest.startswith("/examinations/") else f"`{slowest}`"
    first, *later = visits
    answers = [visit.answer for visit in later]
    rows = [
        (f"slowest page interactive, nothing kept ({named})", f"{opened[slowest]:.2f} s", BUDGETS["interactive"]),
        ("first answer of the server", f"{first.answer:.2f} s", BUDGETS["answer"]),
        ("answer on the page, median", f"{median(answers):.2f} s", BUDGETS["answer"]),
        ("answer on the page, slowest", f"{max(answers):.2f} s", BUDGETS["answer"]),
        ("slices with outlines, median", f"{median(visit.outlines for visit in later):.2f} s", ""),
        ("all documents, median", f"{median(visit.documents for visit in later):.2f} s", ""),
    ]
    return [
        "",
        f"## One examination after the other ({len(later)} after the first)",
        "From the end of the upload; the question is asked as soon as the page lets one ask. It holds the listing of "
        "the series, the estimate, and the way to the page. Median and slowest are of those after the first.",
        "",
        "| what | measured | at most |",
        "|---|---|---|",
        *(f"| {what} | {value} | {most} |" for what, value, most in rows),
    ]


def _crowd_lines(crowd: Crowd) -> list[str]:
    """Lay out what became of the clients."""
    rows = [
        ("examinations answered", f"{crowd.done} of {crowd.clients}"),
        ("estimates on record (one each)", str(crowd.estimates)),
        ("requests that were told to come again (429)", str(crowd.turned_away)),
        ("all uploaded after", f"{crowd.uploaded:.1f} s"),
        ("all answered after", f"{crowd.answered:.1f} s"),
        ("all documents after", f"{crowd.documents:.1f} s"),
        ("the list meanwhile, median and slowest", f"{median(crowd.pages):.2f} s, {max(crowd.pages):.2f} s"),
        ("server and workers, peak memory", f"{crowd.mebibytes:.0f} MiB"),
    ]
    return [
        "",
        f"## {crowd.clients} clients upload at once",
        "| what | measured |",
        "|---|---|",
        *(f"| {what} | {value} |" for what, value in rows),
    ]


if __name__ == "__main__":
    main()
