"""Migrations of the register, run by alembic."""
