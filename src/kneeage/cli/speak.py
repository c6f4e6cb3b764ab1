"""How the command line speaks: words on stderr, data on stdout, an error as one sentence."""

from __future__ import annotations

import logging
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from types import FrameType
from typing import TYPE_CHECKING, NoReturn, ParamSpec

import typer

from kneeage.core.errors import EXIT_FAILED, EXIT_STOPPED, KneeAgeError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

Arguments = ParamSpec("Arguments")
_TRACEBACK_VERBOSITY = 2
_MAX_NAMED = 5
# Where no bar can be seen, such as in a log.
_SECONDS_BETWEEN_LINES = 60.0


@dataclass
class Loudness:
    """How much the user wants to read."""

    quiet: bool = False
    verbosity: int = 0


LOUDNESS = Loudness()


def set_loudness(*, quiet: bool, verbosity: int) -> None:
    """Take the options ``-q`` and ``-v``; logging is off until ``-v``.

    Args:
        quiet: Say nothing but errors.
        verbosity: 0: no log; 1: what is done; 2: everything, with tracebacks.
    """
    LOUDNESS.quiet, LOUDNESS.verbosity = quiet, verbosity
    if verbosity:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
        logger = logging.getLogger("kneeage")
        logger.handlers[:] = [handler]
        logger.setLevel(logging.INFO if verbosity == 1 else logging.DEBUG)


def tell(*words: RenderableType) -> None:
    """Say something to the user, on stderr, unless ``-q`` was given."""
    if not LOUDNESS.quiet:
        _console(stderr=True).print(*words, soft_wrap=True)


def show(table: RenderableType) -> None:
    """Put a table on stdout, as wide as the terminal, or 80 columns wide where it is piped."""
    _console(stderr=False).print(table)


def give(data: str) -> None:
    """Put data on stdout, exactly as they are."""
    typer.echo(data)


def some_of(names: Sequence[str]) -> str:
    """List names, not too many."""
    rest = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
    return ", ".join(names[:_MAX_NAMED]) + rest


@contextmanager
def working(words: str) -> Iterator[None]:
    """Show on a terminal that something goes on, while the block runs."""
    console = _console(stderr=True)
    if LOUDNESS.quiet or not console.is_terminal:
        yield
        return
    with console.status(words):
        yield


@contextmanager
def counting(words: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on a terminal, elsewhere a line a minute, while the block runs.

    Args:
        words: What goes on.

    Yields:
        What is told how many pieces are done, and how many there are.
    """
    console = _console(stderr=True)
    if LOUDNESS.quiet or not console.is_terminal:
        yield Lines(words)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[left]}"))
    with Progress(*columns, console=console) as progress:
        bar, pace = progress.add_task(words, total=None, left=""), Pace()
        yield lambda done, total: progress.update(bar, completed=done, total=total, left=pace.words(done, total))


class Pace:
    """How long a stage still takes, from all that was done since it began; what was there before does not count."""

    def __init__(self) -> None:
        self._began, self._before, self._last = 0.0, 0, sys.maxsize

    def words(self, done: int, total: int) -> str:
        """Take note that so many of the total are done, and say how long the others take; empty as long as unknown."""
        now = time.monotonic()
        if done < self._last:
            self._began, self._before = now, done
        self._last = done
        if not self._before < done < total:
            return ""
        seconds = (now - self._began) * (total - done) / (done - self._before)
        return f"about {seconds / 60:.0f} min left" if seconds >= _SECONDS_BETWEEN_LINES else "less than 1 min left"


class Lines:
    """Says at most once a minute how far a stage is, and how long it will take.

    Args:
        words: What goes on.
    """

    def __init__(self, words: str) -> None:
        self._words, self._pace = words, Pace()
        self._said, self._last = 0.0, sys.maxsize

    def __call__(self, done: int, total: int) -> None:
        """Take note that so many of the total are done."""
        now, left = time.monotonic(), self._pace.words(done, total)
        if done < self._last:
            self._said = now
        elif left and now - self._said >= _SECONDS_BETWEEN_LINES:
            tell(f"{self._words}: {done:,} of {total:,}, {left}")
            self._said = now
        self._last = done


@contextmanager
def stopping(words: str) -> Iterator[None]:
    """Answer Ctrl-C at once, while a block that ends slowly runs; a second one does what it always does.

    Args:
        words: What happens now.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:  # as shells have it for commands in the background
        yield
        return

    def stop(_number: int, _frame: FrameType | None) -> NoReturn:
        signal.signal(signal.SIGINT, before)
        tell(words)
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def answering(command: Callable[Arguments, None]) -> Callable[Arguments, None]:
    """Turn what a command raises into one sentence on stderr and the exit code that goes with it."""

    @wraps(command)
    def answer(*args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except KneeAgeError as error:
            _report(str(error), error)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt as error:
            _report("stopped", error)
            raise typer.Exit(EXIT_STOPPED) from None
        except (typer.Exit, typer.Abort, BrokenPipeError):
            raise
        except Exception as error:  # noqa: BLE001 (the outer edge: whatever fails is said, never as a traceback)
            _report(_unexpected(error), error)
            raise typer.Exit(EXIT_FAILED) from None

    return answer


def resumable(command: Callable[Arguments, None]) -> Callable[Arguments, None]:
    """As `answering`, for a command that goes on from what is there: who stops it is told so at once."""

    @answering
    @wraps(command)
    def answer(*args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        try:
            with stopping("Stopping; what is done is kept, and the same command goes on."):
                command(*args, **kwargs)
        except KeyboardInterrupt:  # said already
            raise typer.Exit(EXIT_STOPPED) from None

    return answer


def _unexpected(error: Exception) -> str:
    """Say that something failed that nobody foresaw; the error's own text may name a subject and is held back."""
    return (
        f"unexpected failure ({type(error).__name__}); no output was written. "
        "Run again as 'kneeage -vv ...' and report what it prints"
    )


def _report(sentence: str, error: BaseException) -> None:
    """Say an error; a traceback comes only with ``-vv``."""
    if LOUDNESS.verbosity >= _TRACEBACK_VERBOSITY:
        typer.echo("".join(traceback.format_exception(error)), err=True)
    typer.echo(f"kneeage: {sentence}", err=True)


def _console(*, stderr: bool) -> Console:
    """Make a console; rich is loaded only when there is something to say."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, markup=False)
