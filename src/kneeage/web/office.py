"""What every route works with, made once for a server."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from fastapi import Request

from kneeage.core.errors import OutputError
from kneeage.service.accounts import Accounts
from kneeage.service.case_files import CaseFiles
from kneeage.service.cases import CHOSEN_BUNDLE
from kneeage.service.migrate import open_journal
from kneeage.service.register import Register
from kneeage.service.shelf import Shelf, Shelved
from kneeage.web.hub import Hub
from kneeage.web.security import Rate, Sessions
from kneeage.web.settings import WebSettings
from kneeage.web.upload import Places

_KEY_BYTES = 32


@dataclass(frozen=True, eq=False)
class Office:
    """What every route works with.

    Args:
        settings: What the server was told.
        register: Examinations and runs.
        files: Their files.
        shelf: Bundles.
        accounts: Users.
        sessions: Their cookies.
        logins: Counts failed logins.
        hub: Tells about changes.
        uploads: Places for requests that send files.
    """

    settings: WebSettings
    register: Register
    files: CaseFiles
    shelf: Shelf
    accounts: Accounts
    sessions: Sessions
    logins: Rate
    hub: Hub
    uploads: Places

    @property
    def chosen(self) -> Shelved:
        """The bundle that answers where none is named."""
        return self.shelf.usable(self.register.setting(CHOSEN_BUNDLE))


def open_office(settings: WebSettings) -> Office:
    """Open the register and the folder of a server.

    Raises:
        OutputError: One of them cannot be opened.
        BundleError: No bundle can be used.
    """
    files = CaseFiles(settings.data)
    journal = open_journal(settings.url, files.head)
    register = Register(journal, settings.limits.waiting)
    accounts = Accounts(journal)
    return Office(
        settings=settings,
        register=register,
        files=files,
        shelf=Shelf(settings.bundles),
        accounts=accounts,
        sessions=Sessions(_key(files.key), accounts if settings.needs_login else None, is_secure=settings.is_secure),
        logins=Rate(),
        hub=Hub(register, settings.limits.streams),
        uploads=Places(settings.limits.uploads),
    )


def office_of(request: Request) -> Office:
    """Give what a route works with."""
    office: Office = request.app.state.office
    return office


def _key(path: Path) -> bytes:
    """Read the key that sessions are signed with; make it where there is none."""
    try:
        if not path.exists():
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(secrets.token_bytes(_KEY_BYTES))
        return path.read_bytes()
    except OSError as error:
        raise OutputError(f"{path.name!r} cannot be used ({error.strerror}); check the folder's rights") from error
