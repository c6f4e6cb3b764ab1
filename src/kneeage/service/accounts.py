"""Users of a server and their sessions."""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections.abc import Callable

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import Connection, delete, func, insert, select

from kneeage.core.errors import UsageError
from kneeage.service.audit import Journal
from kneeage.service.cases import NO_USERS, OPERATOR
from kneeage.service.tables import SESSIONS, USERS, reading, writing

# Source: NIST SP 800-63B-4, section 3.1.1.2 (memorised secrets: length, not composition); 12 is our own choice.
PASSWORD_CHARACTERS = (12, 256)
SESSION_SECONDS = 12 * 3600.0

_NAME = re.compile(r"[A-Za-z0-9._@-]{1,64}")


class Accounts:
    """Users and sessions in the register.

    Args:
        journal: Writes changes of users and the lines that tell about them.
        clock: Gives the time in seconds since 1970.
    """

    def __init__(self, journal: Journal, clock: Callable[[], float] = time.time) -> None:
        self._journal = journal
        self._engine = journal.engine
        self._clock = clock
        self._hasher = PasswordHasher()
        # An unknown name is checked against this, so that it takes as long as a known one.
        self._nobody = self._hasher.hash(secrets.token_hex())

    def count(self) -> int:
        """Give the number of users."""
        with reading(self._engine) as connection:
            return int(connection.execute(select(func.count()).select_from(USERS)).scalar_one())

    def set_password(self, name: str, password: str) -> None:
        """Add a user, or give one another password; sessions of the user end.

        Raises:
            UsageError: The name or the password cannot be taken.
        """
        low, high = PASSWORD_CHARACTERS
        if not _NAME.fullmatch(name):
            raise UsageError("a user's name has 1 to 64 letters, digits or . _ @ -")
        if name.lower() in NO_USERS:
            raise UsageError(f"in the audit log {name!r} is no user of this server; choose another name")
        if not low <= len(password) <= high:
            raise UsageError(f"a password has {low} to {high} characters; found {len(password)}")
        hashed = self._hasher.hash(password)
        with self._journal.writing() as pen:
            _remove(pen.connection, name)
            pen.connection.execute(insert(USERS).values(name=name, password_hash=hashed))
            pen.note(OPERATOR, "password set", user=name)

    def remove(self, name: str) -> None:
        """Remove a user; sessions of the user end, and lines of the audit log stay.

        Raises:
            UsageError: There is none of this name.
        """
        with self._journal.writing() as pen:
            if not _remove(pen.connection, name):
                raise UsageError("no user has this name")
            pen.note(OPERATOR, "user removed", user=name)

    def is_password(self, name: str, password: str) -> bool:
        """Say whether a user has this password."""
        with reading(self._engine) as connection:
            query = select(USERS.c.password_hash).where(USERS.c.name == name)
            stored = connection.execute(query).scalar_one_or_none()
        try:
            self._hasher.verify(stored or self._nobody, password)
        except (VerificationError, InvalidHashError):
            return False
        return stored is not None

    def open_session(self, name: str) -> str:
        """Begin a session, and give its secret."""
        token, now = secrets.token_urlsafe(32), self._clock()
        with writing(self._engine) as connection:
            connection.execute(delete(SESSIONS).where(SESSIONS.c.until < now))
            connection.execute(insert(SESSIONS).values(id=_digest(token), name=name, until=now + SESSION_SECONDS))
        return token

    def user_of(self, token: str) -> str | None:
        """Give the user of a session; None where it ended or never was."""
        with reading(self._engine) as connection:
            query = select(SESSIONS.c.name).where(SESSIONS.c.id == _digest(token), SESSIONS.c.until > self._clock())
            return connection.execute(query).scalar_one_or_none()

    def close_session(self, token: str) -> None:
        """End a session."""
        with writing(self._engine) as connection:
            connection.execute(delete(SESSIONS).where(SESSIONS.c.id == _digest(token)))


def _remove(connection: Connection, name: str) -> bool:
    """Remove a user with all sessions; say whether there was one."""
    connection.execute(delete(SESSIONS).where(SESSIONS.c.name == name))
    return connection.execute(delete(USERS).where(USERS.c.name == name)).rowcount > 0


def _digest(token: str) -> str:
    """Hash a session's secret, so that the register's content opens no session."""
    return hashlib.sha256(token.encode()).hexdigest()
