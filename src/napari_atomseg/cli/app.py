"""The application, and what all its commands share: progress, Ctrl-C, errors in one line."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import unicodedata
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from napari_atomseg._shared.outputs import check_outputs
from napari_atomseg.progress import Cancelled, CancelToken

SAMPLING = "--sampling"


class Commands(TyperGroup):
    """The commands, each of which takes one or two numbers as its sampling."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take two numbers that follow the option as one text."""
        joined: list[str] = []
        for word in args:
            if len(joined) > 1 and joined[-2] == SAMPLING and _number(word) and _number(joined[-1]):
                joined[-1] += f" {word}"
            else:
                joined.append(word)
        return super().parse_args(ctx, joined)


def _number(word: str) -> bool:
    try:
        return float(word) > 0
    except ValueError:
        return False


app = typer.Typer(
    cls=Commands,
    help="Restore, segment and localize atomic columns in electron microscope images.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_QUIET_INTERVAL = 10.0
"""Seconds between progress lines where the output is not a terminal."""

_BAR = "{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}]"

_EXPECTED = (OSError, ValueError, TypeError, ImportError)
"""Errors whose message is written for the user."""

CANCELLED = 130
"""Exit code after Ctrl-C, as shells have it."""
UNREAD = 141
"""Exit code where nobody reads the output any more, as shells have it."""


def _version(wanted: bool) -> None:
    if wanted:
        from napari_atomseg import __version__

        print_line(f"napari-atomseg {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Restore, segment and localize atomic columns in electron microscope images."""


class Session:
    """The progress bar and the cancel token of one command."""

    def __init__(self) -> None:
        self.cancel = CancelToken()
        self.failed = False
        self._bar: Any = None

    def progress(self, done: int, total: int, message: str) -> None:
        """Draw the progress on standard error."""
        from tqdm import tqdm

        if self._bar is None:
            interval = 0.1 if sys.stderr.isatty() else _QUIET_INTERVAL
            # Steps before the bar was drawn would distort the estimate of the time left.
            self._bar = tqdm(
                initial=done,
                file=sys.stderr,
                leave=False,
                dynamic_ncols=True,
                mininterval=interval,
                delay=interval,
                bar_format=_BAR,
            )
        self._bar.total = max(total, 1)
        self._bar.set_description_str(message, refresh=False)
        self._bar.update(done - self._bar.n)

    def clear(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def note(self, message: str) -> None:
        """Print a line on standard error, above the progress bar."""
        self.clear()
        typer.echo(printable(message), err=True)

    def fail(self, error: Exception) -> None:
        """Print the error in one line; the command will exit with code 1."""
        self.failed = True
        message = " ".join(str(error).split())
        known = isinstance(error, _EXPECTED) and message
        text = message if known else f"{type(error).__name__}: {message}"
        self.note(f"error: {text}")

    @contextlib.contextmanager
    def attempt(self) -> Iterator[None]:
        """Print an error of the block, and continue after it."""
        try:
            yield
        except (Cancelled, BrokenPipeError):
            raise
        except Exception as error:  # users never see a traceback
            self.fail(error)


@contextlib.contextmanager
def session(
    writes: Iterable[Path | None] = (), reads: Iterable[Path | None] = ()
) -> Iterator[Session]:
    """Run a command: errors end it with exit code 1, Ctrl-C cancels it with 130.

    It ends without a word where nobody reads its output any more, as with `| head`.
    """
    current = Session()
    with _interrupts(current.cancel), warnings.catch_warnings():
        warnings.showwarning = _warn
        try:
            with current.attempt():
                check_outputs(writes, reads)
                yield current
        except (Cancelled, KeyboardInterrupt):
            current.note("cancelled")
            raise typer.Exit(CANCELLED) from None
        except BrokenPipeError:
            # Python flushes the output once more when it ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(UNREAD) from None
        finally:
            current.clear()
    if current.failed:
        raise typer.Exit(1)


def _warn(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    if issubclass(category, UserWarning):
        print_warning(str(message))


def print_warning(text: str) -> None:
    """Print a line on standard error that a command goes on after."""
    typer.echo(printable(f"warning: {' '.join(text.split())}"), err=True)


@contextlib.contextmanager
def _interrupts(cancel: CancelToken) -> Iterator[None]:
    """Ctrl-C asks to cancel; a second one interrupts at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def first(number: int, frame: FrameType | None) -> None:
        cancel.cancel()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before: Callable[[int, FrameType | None], Any] | int | None
    before = signal.signal(signal.SIGINT, first)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def print_line(text: str) -> None:
    """Print a line on standard output, also where it cannot show every character."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(printable(text).encode(encoding, "replace").decode(encoding) + "\n")
    sys.stdout.flush()


def printable(text: str) -> str:
    """Text without codes by which a file could command the terminal; they are shown escaped."""
    return "".join(ascii(each)[1:-1] if _commands(each) else each for each in text)


def _commands(character: str) -> bool:
    return character not in "\t\n" and unicodedata.category(character) in ("Cc", "Cf")
