"""The whole way with a real archive: store, listen, results stored, found by another client."""

from __future__ import annotations

from pathlib import Path

import pytest

from kneeage.service.studies import StudyState
from tests.pacs.support import Orthanc, make_study, running_node, states, storescu, study_uid, wait_for

RESULTS = ["DOC", "OT", "SR"]


@pytest.mark.parametrize("way", ["dicom", "web"])
def test_a_study_that_is_pushed_comes_back_with_its_results(orthanc: Orthanc, tmp_path: Path, way: str) -> None:
    make_study(tmp_path / "images", way)
    with running_node(tmp_path / "spool", "--quiet", "5", "--send-to", getattr(orthanc, way)) as node:
        storescu(node.port, "KNEEAGE", tmp_path / "images")
        wait_for(lambda: states(node.spool).get(study_uid(way)) is StudyState.DONE)
    assert orthanc.modalities(study_uid(way)) == RESULTS
