"""Names that no user may have."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("argon2", reason="needs the extra 'web'")

from kneeage.core.errors import UsageError
from kneeage.service.accounts import Accounts
from kneeage.service.migrate import open_journal
from kneeage.service.tables import sqlite_url


@pytest.mark.parametrize("name", ["pacs", "system", "Operator", "local", "Nobody"])
def test_no_user_has_a_name_that_stands_for_no_user(tmp_path: Path, name: str) -> None:
    journal = open_journal(sqlite_url(tmp_path / "register.sqlite3"), tmp_path / "audit.head")
    with pytest.raises(UsageError, match="choose another name"):
        Accounts(journal).set_password(name, "correct horse battery")
    assert journal.verify().number == 0
