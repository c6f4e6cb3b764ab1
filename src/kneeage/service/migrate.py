"""Bring a register's database to the schema of this version."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine

from kneeage.core.errors import OutputError
from kneeage.service.audit import Journal
from kneeage.service.tables import open_engine, writing

_FOLDER = Path(__file__).parent / "migrations"


def open_journal(url: str, head: Path) -> Journal:
    """Open a register, and bring it to this version's schema.

    Args:
        url: Its URL.
        head: File that the newest hash of the audit log is noted in.

    Raises:
        UsageError: It is another kind of database, or its driver is not installed.
        OutputError: It cannot be reached, or was made by a newer version.
    """
    engine = open_engine(url)
    migrate(engine)
    return Journal(engine, head)


def migrate(engine: Engine) -> None:
    """Run the steps that are missing, one process at a time.

    Args:
        engine: The database; an empty one gets all tables.

    Raises:
        OutputError: It was made by a newer version.
    """
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    with writing(engine) as connection:
        _require_known(connection, ScriptDirectory.from_config(config))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _require_known(connection: Connection, steps: ScriptDirectory) -> None:
    """Refuse a database that a newer version made."""
    found = MigrationContext.configure(connection).get_current_revision()
    if found is not None and found not in {step.revision for step in steps.walk_revisions()}:
        raise OutputError(f"the register has the schema {found!r}, which this version does not know; update kneeage")
