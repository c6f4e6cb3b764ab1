"""One archive for all tests that need one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.pacs.support import Orthanc, running_orthanc


@pytest.fixture(scope="session")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """A real archive on the loopback."""
    with running_orthanc(tmp_path_factory.mktemp("orthanc")) as archive:
        yield archive
