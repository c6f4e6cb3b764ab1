"""No line of the audit log can be put in the place of another one, as SQLite's REPLACE does without deleting."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_SQLITE = (
    "CREATE TRIGGER audit_is_never_replaced BEFORE INSERT ON audit "
    "WHEN EXISTS (SELECT 1 FROM audit WHERE number = NEW.number) "
    "BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"
)


def upgrade() -> None:
    """Guard what is there; PostgreSQL knows no REPLACE, and takes a conflict that updates for an update."""
    if op.get_bind().dialect.name == "sqlite":
        op.execute(_SQLITE)
