"""The image and its wiring: every version pinned by its hash, and a workstation that asks for a login."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from kneeage.web.settings import WebSettings

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "docker"
EXTRAS = ("web", "postgresql", "pacs")


def locked(name: str) -> dict[str, tuple[str, list[str]]]:
    """Versions and hashes of a lock, by name."""
    text = (DOCKER / name).read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
    found = [re.match(r"([A-Za-z0-9._-]+)(?:\[[a-z,]+\])?==(\S+)(.*)", line) for line in lines]
    assert all(found)
    return {
        canonicalize_name(match[1]): (match[2], re.findall(r"--hash=sha256:([0-9a-f]{64})", match[3]))
        for match in found
        if match is not None
    }


def wanted() -> list[Requirement]:
    """What the image installs, as the project names it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [line for extra in EXTRAS for line in project["optional-dependencies"][extra]]
    return [Requirement(line) for line in [*project["dependencies"], *extras]]


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-build.txt"])
def test_every_version_is_pinned_by_its_hash(name: str) -> None:
    assert all(hashes for _, hashes in locked(name).values())
    assert not re.search(r"https?:|file:|--index|--find-links", (DOCKER / name).read_text(encoding="utf-8"))


def test_the_lock_holds_what_the_project_needs() -> None:
    versions = locked("requirements.txt")
    for one in wanted():
        version, _ = versions[canonicalize_name(one.name)]
        assert one.specifier.contains(version), one
    assert not {"torch", "torchvision", "monai", "lightning"} & set(versions)


def test_the_image_takes_the_locks_alone() -> None:
    image = (DOCKER / "Dockerfile").read_text(encoding="utf-8")
    installs = re.findall(r"pip (?:install|wheel)[^&\n]*", image)
    assert len(installs) == 4
    assert all("--require-hashes" in one or "--no-index" in one for one in installs)
    assert re.search(r"^USER [1-9]\d*$", image, re.MULTILINE)


def test_the_workstation_of_the_wiring_asks_for_a_login(tmp_path: Path) -> None:
    services: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yml").read_text(encoding="utf-8"))["services"]
    command, *given = services["workstation"]["command"]
    options = dict(option.removeprefix("--").split("=", 1) for option in given)
    settings = WebSettings(tmp_path, "sqlite://", (), host=options["host"], proxy=options["behind-proxy"])
    assert (command, settings.needs_login) == ("serve", True)
    (port,) = services["workstation"]["ports"]
    assert port == f"127.0.0.1:{options['port']}:{options['port']}"
    assert options["behind-proxy"] == f"http://127.0.0.1:{options['port']}"
    assert f":{options['port']}/healthz" in services["workstation"]["healthcheck"]["test"][-1]
    assert options["data"] == services["workstation"]["volumes"][0].partition(":")[2]
