"""A node in a process of its own, with a stand-in for the estimate; run as ``python -m tests.pacs.node``."""

from __future__ import annotations

import argparse
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from kneeage.core.anatomy import Sex
from kneeage.decide.question import Question
from kneeage.pacs.examine import StudyExaminer
from kneeage.pacs.guard import Limits
from kneeage.pacs.listen import ListenSettings, listen
from kneeage.pacs.peers import parse_peer
from kneeage.pacs.send import Caller, Destination
from kneeage.service.logs import write_logs
from kneeage.service.worker import Rhythm
from tests.pacs.deaths import DeadlyExaminer
from tests.pacs.fakes import FakeExaminer
from tests.pacs.support import PATIENCE
from tests.ports import HOST

if TYPE_CHECKING:
    from kneeage.service.recorder import RecordPlace

QUICK = Rhythm(quiet=1.0, lease=5.0, poll=0.05, first_pause=0.2)
PATIENT = Limits(handshake_seconds=PATIENCE, idle_seconds=PATIENCE, pdu_seconds=PATIENCE, free_bytes=2**20)


def record_place(folder: Path) -> RecordPlace:
    """Where a node puts on record what it does."""
    from kneeage.service.recorder import RecordPlace
    from kneeage.service.tables import sqlite_url

    folder.mkdir(exist_ok=True)
    return RecordPlace(folder, sqlite_url(folder / "register.sqlite3"))


def examiner(asked: argparse.Namespace) -> StudyExaminer | FakeExaminer | DeadlyExaminer:
    """What the node examines with."""
    if asked.real:
        return StudyExaminer(question=Question(sex=Sex.MALE), threads=1, with_image=asked.data is not None)
    fake = FakeExaminer(asked.seconds, asked.refuses, asked.fails, asked.dies_on, asked.fresh_uids)
    if not asked.death:
        return fake
    steps = {uid: step for step, _, uid in (death.partition("=") for death in asked.death)}
    return DeadlyExaminer(fake, steps, asked.deaths, asked.whole_node)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("spool", type=Path)
    parser.add_argument("port", type=int)
    parser.add_argument("--send-to")
    parser.add_argument("--quiet", type=float, default=QUICK.quiet)
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--dies-on", default="")
    parser.add_argument("--fresh-uids", action="store_true")
    parser.add_argument("--deaths", type=Path, help="folder of marks; see --death")
    parser.add_argument("--death", action="append", default=[], help="STEP=UID of a study that ends its worker there")
    parser.add_argument("--whole-node", action="store_true", help="a death ends the node too")
    parser.add_argument("--refuses", action="store_true")
    parser.add_argument("--fails", action="store_true")
    parser.add_argument("--metrics", type=int)
    parser.add_argument("--real", action="store_true")
    parser.add_argument("--data", type=Path)
    asked = parser.parse_args()
    examine = examiner(asked)
    settings = ListenSettings(
        spool=asked.spool,
        port=asked.port,
        limits=PATIENT,
        rhythm=replace(QUICK, quiet=asked.quiet),
        study_seconds=PATIENCE,
        metrics=None if asked.metrics is None else (HOST, asked.metrics),
        asked=examine.asked() if isinstance(examine, StudyExaminer) else {},
        record=None if asked.data is None else record_place(asked.data),
    )
    destination = Destination(parse_peer(asked.send_to), Caller()) if asked.send_to else None
    write_logs()
    listen(settings, examine, destination, threading.Event(), lambda port: print(port, flush=True))  # noqa: T201


if __name__ == "__main__":
    main()
