"""How far a stage is, told to whoever watches."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from kneeage.learn.prepared_cohort import Tell

# Shows how far a stage is, while its block lasts; see ``kneeage.cli.speak.counting``.
Counting = Callable[[str], AbstractContextManager[Tell]]


def uncounted(_words: str) -> AbstractContextManager[Tell]:
    """Show nothing; a `Counting`."""
    return nullcontext(untold)


def untold(_done: int, _total: int) -> None:
    """Tell nobody how far it is."""
