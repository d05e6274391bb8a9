"""The commands that manage models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_atomseg.cli.app import app, print_line, session

models = typer.Typer(help="List, show, download, import and remove models.")
app.add_typer(models, name="models")

Names = Annotated[list[str], typer.Argument(help="Names of models.", show_default=False)]


@models.callback(invoke_without_command=True)
def default(context: typer.Context) -> None:
    """List, show, download, import and remove models; without a command, list them."""
    if context.invoked_subcommand is None:
        list_models()


@models.command("list")
def list_models() -> None:
    """List the models that can be used by name."""
    with session():
        from napari_atomseg.weights import models as compute
        from napari_atomseg.weights.description import location

        for row in compute().to_dict("records"):
            size = f"{row['size'] / 1e6:.1f} MB"
            print_line(f"{row['name']}  {row['modality']}, {size}, {location(row)}")
            print_line(f"    {', '.join(row['tasks'])}")
            if row["description"]:
                print_line(f"    {row['description']}")


@models.command()
def show(names: Names) -> None:
    """Show the descriptions of models."""
    with session() as current:
        from napari_atomseg.weights import find_file, model_entry
        from napari_atomseg.weights.description import describe_model

        for name in names:
            with current.attempt():
                lines = describe_model(model_entry(name), find_file(name))
                print_line(name)
                for label, text in lines.items():
                    print_line(f"    {label + ':':13}" + text.replace("\n", "\n" + " " * 17))


@models.command()
def download(
    names: Annotated[
        list[str] | None, typer.Argument(help="Names of models.", show_default=False)
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All published models.")] = False,
) -> None:
    """Download models; continues a download that was cut or cancelled."""
    with session() as current:
        from napari_atomseg.weights import models as listed
        from napari_atomseg.weights import resolve

        if everything == bool(names):
            raise ValueError("give names of models, or --all")
        table = listed()
        for name in names or table["name"][~table["own"]]:
            with current.attempt():
                path = resolve(name, progress=current.progress, cancel=current.cancel)
                current.clear()
                print_line(f"{name} → {path}")


@models.command("import")
def import_files(
    files: Annotated[list[Path], typer.Argument(help="Weights files (.safetensors).")],
    name: Annotated[
        str | None, typer.Option(help="Name for one model of your own; by default its file's name.")
    ] = None,
) -> None:
    """Copy weights files of published models, or of your own, into the cache folder."""
    with session() as current:
        from napari_atomseg.weights import import_model, resolve

        if name is not None and len(files) > 1:
            raise ValueError("--name is for one file only")
        for file in files:
            with current.attempt():
                print_line(f"{file} → {resolve(import_model(file, name))}")


@models.command()
def remove(names: Names) -> None:
    """Delete downloaded models, or models of your own."""
    with session() as current:
        from napari_atomseg.weights import remove_model

        for name in names:
            with current.attempt():
                remove_model(name)
                print_line(f"removed {name}")
