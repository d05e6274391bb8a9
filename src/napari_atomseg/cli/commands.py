"""The application, and its demo."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_atomseg.cli.options import SamplingOption, hooks, print_line, with_settings
from napari_atomseg.cli.session import session
from napari_atomseg.inference.settings import InferenceSettings

app = typer.Typer(
    help="Restore, segment and localize atomic columns in electron microscope images.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


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


@app.command()
@with_settings(InferenceSettings)
def demo(
    image: Annotated[
        Path | None, typer.Argument(help="An image of yours.", show_default=False)
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the figure and the table.")
    ] = Path("demo"),
    window: Annotated[
        bool, typer.Option("--window/--no-window", help="Open napari with the results.")
    ] = True,
    sampling: SamplingOption = None,
    **chosen: Any,
) -> None:
    """Restore, segment and localize a simulated image, or one of yours, and show the result."""
    with session() as current:
        from napari_atomseg.cli.demo import run_demo

        result = run_demo(
            image,
            output,
            sampling=sampling,
            inference=InferenceSettings(**chosen),
            **hooks(current),
        )
        current.clear()
        for line in result.report():
            print_line(line)
    if window:
        from napari_atomseg.cli.demo import show

        signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C closes the window
        problem = show(result)
        if problem:
            print_line(f"no window: {problem}")
