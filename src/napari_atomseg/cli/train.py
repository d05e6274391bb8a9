"""The command that trains a network."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from napari_atomseg.cli.app import app, print_line, session
from napari_atomseg.cli.options import Device, hooks


@app.command()
def train(
    recipe: Annotated[Path, typer.Argument(help="YAML file.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Weights file; by default of the recipe's name.",
            show_default=False,
        ),
    ] = None,
    initial: Annotated[
        str | None,
        typer.Option(
            help="Model to start from, its name or weights file, in place of the recipe's.",
            show_default=False,
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume/--no-resume", help="Go on from the last checkpoint.")
    ] = True,
    device: Device = "auto",
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write curves for TensorBoard, too.")
    ] = False,
) -> None:
    """Train a network by a recipe; torchrun trains one in several processes."""
    with session() as current:
        from napari_atomseg import train as compute

        def progress(done: int, total: int, message: str) -> None:
            if "validation" in message:
                current.note(message)
            current.progress(done, total, message.partition(",")[0])

        from napari_atomseg.training import load_recipe
        from napari_atomseg.weights import resolve

        chosen = load_recipe(recipe)
        if initial is not None:
            file = resolve(initial, **hooks(current))
            chosen = chosen.model_copy(update={"initial": file, "initial_sha256": None})
        path = compute(
            chosen,
            output,
            resume=resume,
            device=device,
            tensorboard=tensorboard,
            **hooks(current) | {"progress": progress},
        )
        current.clear()
        if os.environ.get("RANK", "0") == "0":  # The first process speaks for all of torchrun's.
            print_line(f"{recipe} → {path}")
