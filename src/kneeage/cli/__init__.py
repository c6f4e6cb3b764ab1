"""The command line: thin commands over the pipeline. Words go to stderr, data to stdout."""

from __future__ import annotations


def main() -> None:
    """Run the command line and leave with its exit code."""
    from kneeage.cli.app import run

    run()
