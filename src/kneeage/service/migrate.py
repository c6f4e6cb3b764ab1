"""Bring a register's database to the schema of this version."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine

from kneeage.core.errors import OutputError
from kneeage.service.tables import writing

_FOLDER = Path(__file__).parent / "migrations"


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
