"""The command that writes libraries of simulated samples."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_atomseg.cli.app import app, print_line, session


@app.command()
def library(
    out: Annotated[Path, typer.Argument(help="Folder: new, empty, or a library to continue.")],
    recipe: Annotated[str, typer.Option(help="Name of a shipped recipe, or a YAML file.")],
    count: Annotated[int, typer.Option(help="Number of samples of the library.")],
    layout: Annotated[
        str, typer.Option(help="folders (as in TEM ImageNet v1.3) or zarr (one store, exact).")
    ] = "folders",
    shape: Annotated[
        tuple[int, int] | None,
        typer.Option(help="Rows and columns, px; by default the recipe's own."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Another seed draws other samples.")] = 0,
    start: Annotated[int, typer.Option(help="Number of the first sample.")] = 0,
    workers: Annotated[
        int, typer.Option(help="Number of processes that simulate at the same time.")
    ] = 1,
) -> None:
    """Write a library of simulated images with their truth; run it again to resume it."""
    with session() as current:
        from napari_atomseg.simulation.library.read import write_library

        folder = write_library(
            out,
            recipe,
            count,
            layout=layout,
            shape=shape,
            seed=seed,
            start=start,
            workers=workers,
            progress=current.progress,
            cancel=current.cancel,
        )
        current.clear()
        print_line(f"{recipe}: {count} samples → {folder}")
