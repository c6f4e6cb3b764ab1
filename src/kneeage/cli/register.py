"""What commands of the workstation share: where its data lies, and whether its extra is installed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from kneeage.cli.options import require_libraries
from kneeage.core.errors import UsageError

Data = Annotated[Path, typer.Option("--data", metavar="DIR", help="Folder of the workstation.", show_default=False)]
Database = Annotated[
    str | None,
    typer.Option(
        "--register",
        metavar="URL",
        help="Its register: postgresql://USER@HOST/NAME; a SQLite file in the folder if not given.",
        envvar="KNEEAGE_REGISTER",
        show_default=False,
        show_envvar=False,
    ),
]

REGISTER_FILE = "register.sqlite3"


REGISTER_LIBRARIES = ("sqlalchemy", "alembic")
LIBRARIES = (*REGISTER_LIBRARIES, "fastapi", "uvicorn", "argon2", "itsdangerous", "python_multipart")


def require_extra(needed: Sequence[str] = LIBRARIES) -> None:
    """Check that the libraries of the workstation are installed, or some of them.

    Raises:
        UsageError: One is not.
    """
    require_libraries(needed, "web")


def register_url(data: Path, given: str | None) -> str:
    """Give the URL of a register."""
    from kneeage.service.tables import sqlite_url

    return given or sqlite_url(data.absolute() / REGISTER_FILE)


def require_register(data: Path, given: str | None) -> None:
    """Refuse a folder without a register.

    Raises:
        UsageError: There is none.
    """
    if given is None and not (data / REGISTER_FILE).is_file():
        raise UsageError(f"{str(data)!r} holds no register; give the folder that 'kneeage serve' was given")
