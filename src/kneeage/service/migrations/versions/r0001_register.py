"""The first schema: examinations, runs, accounts, settings, and an audit log that no statement can change."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_SQLITE = (
    "CREATE TRIGGER audit_is_never_updated BEFORE UPDATE ON audit "
    "BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END",
    "CREATE TRIGGER audit_is_never_deleted BEFORE DELETE ON audit "
    "BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END",
)
_POSTGRESQL = (
    "CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$",
    "CREATE TRIGGER audit_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit "
    "FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only()",
)


def upgrade() -> None:
    """Make the tables."""
    _make_examinations()
    _make_runs()
    _make_accounts()
    _make_audit()
    for statement in _SQLITE if op.get_bind().dialect.name == "sqlite" else _POSTGRESQL:
        op.execute(statement)


def _make_examinations() -> None:
    """Make the tables of examinations and their files."""
    op.create_table(
        "examinations",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("reference", sa.Text, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("changed_at", sa.Float, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("series", sa.JSON),
        sa.Column("notes", sa.JSON, nullable=False),
        sa.Column("reason_code", sa.String(32)),
        sa.Column("reason_message", sa.Text),
    )
    op.create_index("examinations_by_time", "examinations", ["created_at"])
    op.create_index("examinations_by_change", "examinations", ["changed_at"])
    op.create_table(
        "files",
        sa.Column("examination", sa.String(32), sa.ForeignKey("examinations.id"), primary_key=True),
        sa.Column("name", sa.String(80), primary_key=True),
        sa.Column("bytes", sa.BigInteger, nullable=False),
    )


def _make_runs() -> None:
    """Make the table of runs."""
    op.create_table(
        "runs",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("examination", sa.String(32), sa.ForeignKey("examinations.id"), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("number", sa.Integer),
        sa.Column("base", sa.Integer),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("stage", sa.String(16), nullable=False),
        sa.Column("progress", sa.Float, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("started_at", sa.Float),
        sa.Column("finished_at", sa.Float),
        sa.Column("question", sa.JSON, nullable=False),
        sa.Column("bundle", sa.JSON),
        sa.Column("outcome", sa.String(16)),
        sa.Column("estimated_age_years", sa.Float),
        sa.Column("reason_code", sa.String(32)),
        sa.Column("reason_message", sa.Text),
        sa.Column("files", sa.JSON, nullable=False),
        sa.Column("worker", sa.String(40)),
        sa.Column("lease_until", sa.Float),
        sa.Column("deaths", sa.Integer, nullable=False),
        sa.Column("cancel", sa.Boolean, nullable=False),
        sa.UniqueConstraint("examination", "number", name="runs_are_numbered"),
    )
    op.create_index("runs_by_state", "runs", ["state", "created_at"])


def _make_accounts() -> None:
    """Make the tables of users, sessions and settings."""
    op.create_table(
        "users",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("password_hash", sa.Text, nullable=False),
    )
    op.create_table(
        "sessions",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("until", sa.Float, nullable=False),
    )
    op.create_table(
        "settings",
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("value", sa.JSON, nullable=False),
    )


def _make_audit() -> None:
    """Make the table of the audit log."""
    op.create_table(
        "audit",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("time", sa.String(32), nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("examination", sa.String(32)),
        sa.Column("facts", sa.Text, nullable=False),
        sa.Column("previous", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
    )
    op.create_index("audit_by_examination", "audit", ["examination"])
