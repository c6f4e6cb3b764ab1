"""A server in memory for each test; one bundle and one knee for all."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="needs the extra 'web'")

from tests.web.support import Door, knee_bytes, make_bundle, settings_of


@pytest.fixture(scope="session")
def block_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundles") / "blocks")


@pytest.fixture(scope="session")
def knee(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return knee_bytes(tmp_path_factory.mktemp("images"))


@pytest.fixture
def door(tmp_path: Path, block_bundle: Path) -> Door:
    (tmp_path / "data").mkdir()
    return Door(settings_of(tmp_path / "data", block_bundle))
