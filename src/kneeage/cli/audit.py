"""``kneeage audit verify``: is every line of the audit log there, as it was written, by whichever door?"""

from __future__ import annotations

from typing import Annotated

import typer

from kneeage.cli.register import Data, Database, register_url, require_extra, require_register
from kneeage.cli.speak import answering, give, tell

app = typer.Typer(name="audit", no_args_is_help=True, help="The audit log of the workstation and its PACS nodes.")


@app.callback()
def _group() -> None:
    """The audit log of the workstation and its PACS nodes."""


@app.command(name="verify")
@answering
def verify_command(
    data: Data,
    register: Database = None,
    head: Annotated[
        str | None, typer.Option(metavar="NUMBER:HASH", help="A head that was noted earlier.", show_default=False)
    ] = None,
) -> None:
    """Find any line that was altered or is missing; print the head of the log, to be noted elsewhere."""
    require_extra()
    from kneeage.service.audit import Journal, parse_head
    from kneeage.service.case_files import CaseFiles
    from kneeage.service.tables import open_engine

    require_register(data, register)
    journal = Journal(open_engine(register_url(data, register)), CaseFiles(data).head)
    found = journal.verify(None if head is None else parse_head(head))
    tell(f"The audit log is whole: {found.number} lines.")
    if found.number and not journal.head.exists():
        tell(f"There is no {journal.head.name!r}: lines that are missing at the end are found with --head alone.")
    give(str(found))
