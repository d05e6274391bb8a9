"""The command that writes libraries of simulated samples."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_atomseg.cli.app import app, print_line, session
from napari_atomseg.cli.options import hooks, with_late_settings


def _library(
    out: Annotated[Path, typer.Argument(help="Folder: new, empty, or a library to continue.")],
    recipe: Annotated[str, typer.Option(help="Name of a shipped recipe, or a YAML file.")],
    **settings: Any,
) -> None:
    with session() as current:
        from napari_atomseg.simulation.library.read import write_library
        from napari_atomseg.simulation.library.settings import LibraryArguments

        chosen = LibraryArguments(**settings)
        folder = write_library(out, recipe, **dict(chosen), **hooks(current))
        current.clear()
        print_line(f"{recipe}: {chosen.count} samples → {folder}")


def _options() -> list[inspect.Parameter]:
    from napari_atomseg.settings import options
    from napari_atomseg.simulation.library.settings import LibraryArguments

    return options(LibraryArguments)


@app.command(cls=with_late_settings(_library, _options))
def library() -> None:
    """Write a library of simulated images with their truth; run it again to resume it."""
