"""``kneeage serve``: the workstation in the browser, and ``kneeage user``: who may log in."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kneeage.cli.options import BundleFolder
from kneeage.cli.register import Data, Database, register_url, require_extra, require_register
from kneeage.cli.speak import answering, tell

if TYPE_CHECKING:
    from kneeage.service.accounts import Accounts

UserName = Annotated[str, typer.Argument(metavar="NAME", help="Name to log in with.", show_default=False)]

user_app = typer.Typer(name="user", no_args_is_help=True, help="Who may log in to the workstation.")


@answering
def serve(
    data: Data,
    register: Database = None,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, metavar="N", help="Port; 0: any that is free.")] = 8700,
    bundle: BundleFolder = None,
    bundles: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of more bundles to choose from.", show_default=False)
    ] = None,
    studies: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of study runs to show.", show_default=False)
    ] = None,
    workers: Annotated[int, typer.Option(min=1, metavar="N", help="Examinations worked on side by side.")] = 2,
    run_seconds: Annotated[float, typer.Option(min=1, metavar="N", help="Longest work on one.")] = 600.0,
    keep_days: Annotated[
        float | None,
        typer.Option(min=0, metavar="N", help="Purge images so long after the last change; never if not given."),
    ] = None,
    login: Annotated[bool, typer.Option("--login", help="Ask for a login on this machine too.")] = False,
    tls_cert: Annotated[Path | None, typer.Option(metavar="FILE", help="TLS certificate (PEM).")] = None,
    tls_key: Annotated[Path | None, typer.Option(metavar="FILE", help="Its key (PEM).")] = None,
    behind_proxy: Annotated[
        str | None, typer.Option(metavar="ORIGIN", help="Where a proxy offers it, such as https://knees.example.org.")
    ] = None,
) -> None:
    """Open the workstation in the browser, until stopped."""
    require_extra()
    from kneeage.cli.pacs import stop_signal
    from kneeage.service.logs import write_logs
    from kneeage.service.shelf import bundle_folders
    from kneeage.web.serve import serve as serve_web
    from kneeage.web.settings import WebSettings

    settings = WebSettings(
        data=data.absolute(),
        url=register_url(data, register),
        bundles=tuple(bundle_folders(bundle, bundles)),
        studies=studies,
        host=host,
        port=port,
        login=login,
        certificate=tls_cert,
        key=tls_key,
        proxy=behind_proxy,
        workers=workers,
        run_seconds=run_seconds,
        keep_days=keep_days,
    )
    write_logs()
    serve_web(settings, stop_signal(), lambda address: tell(f"Open {address}"))


@user_app.command(name="add")
@answering
def add_user(name: UserName, data: Data, register: Database = None) -> None:
    """Add a user, or give one another password, which is asked for or read from standard input."""
    require_extra()
    password = typer.prompt("Password", hide_input=True) if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    _accounts(data, register).set_password(name, password)
    tell(f"{name} may log in.")


@user_app.command(name="remove")
@answering
def remove_user(name: UserName, data: Data, register: Database = None) -> None:
    """Remove a user, whose sessions end; what the user did stays on record."""
    require_extra()
    require_register(data, register)
    _accounts(data, register).remove(name)
    tell(f"{name} may no longer log in.")


def _accounts(data: Path, register: str | None) -> Accounts:
    """Open the accounts of a workstation."""
    from kneeage.service.accounts import Accounts
    from kneeage.service.case_files import CaseFiles
    from kneeage.service.migrate import open_journal

    return Accounts(open_journal(register_url(data, register), CaseFiles(data).head))
