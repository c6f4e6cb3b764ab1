"""The commands and what they have in common. Libraries are loaded inside the commands, so that help comes at once."""

from __future__ import annotations

import atexit
import logging
import os
import secrets
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

import kneeage
from kneeage.cli import (
    audit,
    bundle,
    cohort,
    demo,
    doctor,
    estimate,
    inspect,
    labels,
    pacs,
    phantom,
    segment,
    serve,
    study,
    train,
)
from kneeage.cli.speak import give, set_loudness

EPILOG = "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 input refused, 4 abstained (no age given), 130 stopped."

app = typer.Typer(
    name="kneeage",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EPILOG,
)


def run() -> None:
    """Run the command line."""
    keep_home_clean()
    app(prog_name="kneeage")


def keep_home_clean() -> None:
    """Let matplotlib, which the training libraries load, keep its caches in a folder that goes with this process.

    It would otherwise leave them in the user's home. The folder is made only if it is used; who sets MPLCONFIGDIR keeps
    it. Source: matplotlib, "Environment variables", MPLCONFIGDIR.
    """
    if "MPLCONFIGDIR" in os.environ:
        return
    with suppress(OSError):  # a machine without any temporary folder
        folder = Path(tempfile.gettempdir()) / f"kneeage-matplotlib-{secrets.token_hex(8)}"
        os.environ["MPLCONFIGDIR"] = str(folder)
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        # It says when it fills the cache, which it now does each time.
        logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)


def _give_version(wanted: bool) -> None:
    """Print the version and stop."""
    if wanted:
        give(f"kneeage {kneeage.__version__}")
        raise typer.Exit


@app.callback()
def common(
    _version: Annotated[
        bool, typer.Option("--version", callback=_give_version, help="Print the version and stop.", is_eager=True)
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing on stderr but errors.")] = False,
    verbose: Annotated[
        int,
        typer.Option("--verbose", "-v", count=True, show_default=False, help="Say what is done; -vv: everything."),
    ] = 0,
) -> None:
    """Age estimation of living adolescents from knee MRI. Its output is a draft; it never decides an age alone."""
    set_loudness(quiet=quiet, verbosity=verbose)


for command in (demo, inspect, estimate, segment, serve, doctor):
    app.command()(getattr(command, command.__name__.rpartition(".")[2]))
app.add_typer(audit.app)
app.add_typer(bundle.app)
app.add_typer(cohort.app)
app.add_typer(labels.app)
app.add_typer(pacs.app)
app.add_typer(phantom.app)
app.add_typer(study.app)
app.add_typer(train.app)
app.add_typer(serve.user_app)
