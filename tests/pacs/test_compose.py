"""The wiring for Docker: well-formed, and made of options and files that are there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from check_jsonschema.builtin_schemas import get_builtin_schema
from jsonschema.validators import validator_for
from typer.main import get_command
from yamllint import linter
from yamllint.config import YamlLintConfig

from kneeage.cli.app import app
from kneeage.pacs.peers import DicomPeer, host_and_port, parse_peer

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "docker" / "compose.yml"


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return yaml.safe_load(FILE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def services(document: dict[str, Any]) -> dict[str, Any]:
    return document["services"]


@pytest.fixture(scope="module")
def options(services: dict[str, Any]) -> dict[str, str]:
    _, _, *options = services["kneeage"]["command"]
    return dict(option.removeprefix("--").split("=", 1) for option in options)


def test_it_is_well_formed() -> None:
    rules = YamlLintConfig("{extends: default, rules: {line-length: {max: 120}}}")
    assert [str(problem) for problem in linter.run(FILE.read_text(encoding="utf-8"), rules)] == []


def test_it_follows_the_specification_of_compose(document: dict[str, Any]) -> None:
    schema = get_builtin_schema("vendor.compose-spec")
    check = validator_for(schema)(schema)
    assert [error.message for error in check.iter_errors(document)] == []
    document = {**document, "services": {**document["services"], "other": {"imagge": "x"}}}
    assert not check.is_valid(document)


def test_the_command_has_only_options_that_exist(services: dict[str, Any], options: dict[str, str]) -> None:
    command: Any = get_command(app)
    for name in services["kneeage"]["command"][:2]:
        command = command.commands[name]
    known = {name.removeprefix("--") for one in command.params for name in one.opts}
    assert set(options) <= known


def test_both_know_each_other(services: dict[str, Any], options: dict[str, str]) -> None:
    peer = parse_peer(options["send-to"])
    assert isinstance(peer, DicomPeer)
    orthanc = services["orthanc"]["environment"]
    assert (peer.host, peer.ae_title) == ("orthanc", orthanc["ORTHANC__DICOM_AET"])
    assert options["allow"] == orthanc["ORTHANC__DICOM_AET"]
    known = yaml.safe_load(orthanc["ORTHANC__DICOM_MODALITIES"])["kneeage"]
    assert known == ["KNEEAGE", "kneeage", int(options["port"])]


def test_node_and_workstation_share_their_record(services: dict[str, Any], options: dict[str, str]) -> None:
    for name in ("kneeage", "workstation"):
        assert f"--data={options['data']}" in services[name]["command"]
        assert f"data:{options['data']}" in services[name]["volumes"]


def test_nothing_is_reachable_from_elsewhere(services: dict[str, Any]) -> None:
    ports = [port for service in services.values() for port in service["ports"]]
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_the_health_check_asks_the_port_of_the_metrics(services: dict[str, Any], options: dict[str, str]) -> None:
    _, port = host_and_port(options["metrics"])
    assert f":{port}/metrics" in services["kneeage"]["healthcheck"]["test"][-1]


def test_the_image_is_built_from_files_that_are_there(services: dict[str, Any]) -> None:
    build = services["kneeage"]["build"]
    context = FILE.parent / build["context"]
    image = (context / build["dockerfile"]).read_text(encoding="utf-8")
    copied = [line.split()[1:-1] for line in image.splitlines() if line.startswith("COPY") and "--from" not in line]
    assert all((context / name).exists() for names in copied for name in names)
    assert "USER 10001" in image
