"""A real server: killed in the middle of its line, over TLS, behind a proxy, and where it refuses to start."""

from __future__ import annotations

import json
import re
import shutil
import ssl
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from kneeage.cli.app import app
from tests.ports import free_port
from tests.web.server import open_with, serving, wait_until
from tests.web.support import PASSWORD

RUNS = 3


def run(*command: str, text: str | None = None) -> Result:
    return CliRunner().invoke(app, list(command), input=text)


def add_user(data: Path) -> None:
    assert run("user", "add", "ann", "--data", str(data), text=f"{PASSWORD}\n").exit_code == 0


def log_in(client: httpx.Client, password: str = PASSWORD) -> httpx.Response:
    header = {"X-CSRF-Token": client.get("/api/session").json()["csrf_token"]}
    return client.post("/api/session", json={"name": "ann", "password": password}, headers=header)


def actions(client: httpx.Client) -> Counter[str]:
    lines: list[dict[str, Any]] = client.get("/api/audit?limit=500").json()["items"]
    return Counter(line["action"] for line in lines)


def test_killed_in_the_middle_of_its_line_a_server_loses_nothing_and_does_nothing_twice(
    tmp_path: Path, block_bundle: Path, knee: bytes
) -> None:
    options = ("--bundle", str(block_bundle), "--workers", "1")
    with serving(tmp_path / "data", *options) as server, server.client() as client:
        keys = [open_with(client, f"{number}.nii.gz", knee) for number in range(RUNS)]
        wait_until(client, keys[:1], documents=False)
        server.kill()
    with serving(tmp_path / "data", *options) as server, server.client() as client:
        found = wait_until(client, keys, documents=True)
        assert [one["latest"]["outcome"] for one in found] == ["estimated"] * RUNS
        assert all("report.html" in one["latest"]["files"] for one in found)
        done = actions(client)
        assert done["estimate done"] == done["documents done"] == done["estimate ordered"] == RUNS
        assert client.get("/api/audit/verify").json()["whole"]
    answer = run("audit", "verify", "--data", str(tmp_path / "data"))
    assert (answer.exit_code, answer.stdout.partition(":")[0]) == (0, str(done.total()))


def most_memory(process: int) -> float:
    """The most memory that a process has had, in MiB."""
    said = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    return int(re.findall(r"VmHWM:\s+(\d+) kB", said)[0]) / 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux")
def test_uploads_go_to_the_disk_and_not_into_memory(tmp_path: Path, block_bundle: Path) -> None:
    """Twelve clients send 24 MiB each, eight at a time: the server's memory rises by less than 64 MiB."""
    turned_away: list[int] = []

    def send(number: int) -> None:
        with server.client() as client:
            key = client.post("/api/examinations", json={}).raise_for_status().json()["id"]
            parts = [("files", (f"{number}", bytes([number]) * (24 * 2**20)))]
            while (sent := client.post(f"/api/examinations/{key}/files", files=parts)).status_code == 429:
                turned_away.append(number)
                time.sleep(0.2)
            assert sent.status_code == 200, sent.text

    with serving(tmp_path / "data", "--bundle", str(block_bundle), "--workers", "1") as server:
        with server.client() as client:
            client.get("/api/examinations").raise_for_status()
        before = most_memory(server.process.pid)
        with ThreadPoolExecutor(12) as pool:
            list(pool.map(send, range(12)))
        assert most_memory(server.process.pid) - before < 64
    assert turned_away


def test_a_second_server_is_kept_out(tmp_path: Path, block_bundle: Path) -> None:
    with serving(tmp_path / "data", "--bundle", str(block_bundle), "--workers", "1"):
        answer = run("serve", "--data", str(tmp_path / "data"), "--port", "0", "--bundle", str(block_bundle))
    assert answer.exit_code == 1
    assert "another run" in answer.stderr


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for the loopback, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs openssl")
    folder = tmp_path_factory.mktemp("tls")
    key, made = folder / "key.pem", folder / "cert.pem"
    request = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(made)]
    subprocess.run([*request, *names], check=True, capture_output=True)
    return made, key


def test_over_tls_cookies_stay_there(tmp_path: Path, block_bundle: Path, certificate: tuple[Path, Path]) -> None:
    add_user(tmp_path)
    cert, key = certificate
    tls = ("--login", "--tls-cert", str(cert), "--tls-key", str(key), "--bundle", str(block_bundle), "--workers", "1")
    with serving(tmp_path, *tls) as server:
        assert server.address.startswith("https:")
        trusting = ssl.create_default_context(cafile=str(cert))
        with httpx.Client(base_url=server.address, verify=trusting) as client:
            first = client.get("/login")
            assert first.headers["strict-transport-security"].startswith("max-age=")
            assert "; secure" in first.headers["set-cookie"].lower()
            assert client.get("/api/examinations").status_code == 401
            assert log_in(client).status_code == 200
            assert client.get("/api/examinations").status_code == 200
        with pytest.raises(httpx.TransportError):
            httpx.get(server.address.replace("https:", "http:"))
        with pytest.raises(httpx.ConnectError):
            httpx.get(server.address)


def test_a_user_who_is_removed_is_no_user(tmp_path: Path) -> None:
    add_user(tmp_path)
    assert run("user", "remove", "ann", "--data", str(tmp_path)).exit_code == 0
    again = run("user", "remove", "ann", "--data", str(tmp_path))
    assert (again.exit_code, "no user has this name" in again.stderr) == (2, True)
    assert run("user", "remove", "ann", "--data", str(tmp_path / "nothing")).exit_code == 2
    assert run("audit", "verify", "--data", str(tmp_path)).stdout.startswith("2:")


def test_behind_a_proxy_only_its_name_is_answered(tmp_path: Path, block_bundle: Path) -> None:
    add_user(tmp_path)
    told = "https://knees.example.org"
    port = free_port()
    options = ("--behind-proxy", told, "--port", str(port), "--bundle", str(block_bundle), "--workers", "1")
    with serving(tmp_path, *options, said=told), httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        assert client.get("/login").status_code == 400
        client.headers["host"] = "knees.example.org"
        assert client.get("/", follow_redirects=False).headers["location"] == "/login?next=/"
        assert "; secure" in client.get("/login").headers["set-cookie"].lower()
        # The browser speaks TLS with the proxy, so the cookie is sent by hand here.
        cookie = client.get("/api/session").headers["set-cookie"].partition(";")[0]
        client.headers["cookie"] = cookie
        client.headers["x-forwarded-for"] = "10.0.0.1"
        assert [log_in(client, "wrong wrong wrong").status_code for _ in range(6)] == [401] * 5 + [429]
        client.headers["x-forwarded-for"] = "10.0.0.2"
        assert log_in(client).status_code == 200


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--host", "0.0.0.0"], "in clear"),
        (["--host", "0.0.0.0", "--login"], "in clear"),
        (["--host", "::"], "in clear"),
        (["--host", "0.0.0.0", "--behind-proxy", "https://knees.example.org"], "users must log in"),
        (["--login"], "users must log in"),
        (["--tls-cert", "cert.pem"], "both"),
        (["--behind-proxy", "knees.example.org/path"], "origin"),
        (["--host", "0.0.0.0", "--behind-proxy", "http://knees.example.org"], "in clear"),
        (["--behind-proxy", "http://knees.example.org"], "in clear"),
    ],
)
def test_a_server_that_would_be_open_does_not_start(tmp_path: Path, options: list[str], words: str) -> None:
    answer = run("serve", "--data", str(tmp_path), "--port", "0", *options)
    assert answer.exit_code == 2
    assert words in " ".join(answer.stderr.split())


def test_an_altered_line_is_found_by_the_command(tmp_path: Path) -> None:
    from kneeage.service.audit import Journal
    from kneeage.service.migrate import migrate
    from kneeage.service.tables import open_engine, sqlite_url

    engine = open_engine(sqlite_url(tmp_path / "register.sqlite3"))
    migrate(engine)
    journal = Journal(engine, tmp_path / "audit.head")
    for number in range(3):
        with journal.writing() as pen:
            pen.note("ann", "did", None, number=number)
    head = run("audit", "verify", "--data", str(tmp_path)).stdout.strip()
    assert head.startswith("3:")
    noted = (tmp_path / "audit.head").read_bytes()
    (tmp_path / "audit.head").unlink()
    assert "There is no 'audit.head'" in run("audit", "verify", "--data", str(tmp_path)).stderr
    (tmp_path / "audit.head").write_bytes(noted)
    with journal.writing() as pen:
        pen.note("ann", "did more")
    assert run("audit", "verify", "--data", str(tmp_path), "--head", head).exit_code == 0
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TRIGGER audit_is_never_deleted")
        connection.exec_driver_sql("DELETE FROM audit WHERE number = 2")
    answer = run("audit", "verify", "--data", str(tmp_path))
    assert answer.exit_code == 1
    assert "line 2" in answer.stderr


def test_the_client_in_the_documentation_works(tmp_path: Path, block_bundle: Path, knee: bytes) -> None:
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "knee.nii.gz").write_bytes(knee)
    client = Path(__file__).parents[2] / "docs" / "web_client.py"
    with serving(tmp_path / "data", "--bundle", str(block_bundle), "--workers", "1") as server:
        command = [sys.executable, str(client), server.address, str(tmp_path / "study"), str(tmp_path / "report.html")]
        wrong = subprocess.run([*command, "--threshold", "300"], capture_output=True, text=True, timeout=400)
        done = subprocess.run(command, capture_output=True, text=True, timeout=400)
    assert (wrong.returncode, "Traceback" in wrong.stderr) == (1, False)
    assert "thresholds" in wrong.stderr
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["outcome"] == "estimated"
    assert (tmp_path / "report.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(
    ("option", "code", "words"), [("--bundle", 1, "no model bundle"), ("--bundles", 2, "is no folder")]
)
def test_no_other_bundle_answers_for_one_that_is_not_there(tmp_path: Path, option: str, code: int, words: str) -> None:
    answer = run("serve", "--data", str(tmp_path / "data"), "--port", "0", option, str(tmp_path / "nowhere"))
    assert answer.exit_code == code
    assert words in " ".join(answer.stderr.split())
    assert not (tmp_path / "data").exists()
