"""The commands that manage models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from napari_atomseg.cli.app import Session, app, print_line, session
from napari_atomseg.cli.options import hooks

if TYPE_CHECKING:
    from napari_atomseg.weights.exchange import Format

models = typer.Typer(help="List, show, download, import, export and remove models.")
app.add_typer(models, name="models")

Names = Annotated[list[str], typer.Argument(help="Names of models.", show_default=False)]


@models.callback(invoke_without_command=True)
def default(context: typer.Context) -> None:
    """List, show, download, import, export and remove models; without a command, list them."""
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
        for name in names or table["name"][~table["own"] & ~table["foreign"]]:
            with current.attempt():
                path = resolve(name, progress=current.progress, cancel=current.cancel)
                current.clear()
                print_line(f"{name} → {path}")


@models.command("import")
def import_files(
    files: Annotated[
        list[str],
        typer.Argument(
            help="Weights files (.safetensors, AtomSegNet's .pth), or model packages of "
            "bioimage.io (.zip) that hold a network of napari-atomseg. Or names of models that "
            "others published, as in 'r-em-hr-stem', and where they are: an archive or folder; "
            "without it they are downloaded.",
        ),
    ],
    name: Annotated[
        str | None, typer.Option(help="Name for one model of your own; by default its file's name.")
    ] = None,
    accept: Annotated[
        bool, typer.Option("--accept-licence", help="Do not ask about the licence of a download.")
    ] = False,
) -> None:
    """Copy weights files of published models, or of your own, into the cache folder, or convert
    models that others published: those of r_em and AtomSegNet.
    """
    with session() as current:
        from napari_atomseg.weights import foreign_models, import_model, resolve

        foreign = [each for each in files if each in foreign_models()]
        paths = [Path(each) for each in files if each not in foreign]
        if name is not None and (foreign or len(paths) > 1):
            raise ValueError("--name is for one file of your own only")
        if foreign:
            _import_foreign(current, foreign, paths, accept)
            return
        for file in paths:
            with current.attempt():
                print_line(f"{file} → {resolve(import_model(file, name))}")


def _import_foreign(current: Session, names: list[str], paths: list[Path], accept: bool) -> None:
    """Import models that others published from one place, or by download."""
    from napari_atomseg.weights import foreign_models, import_foreign, licence_is_new, resolve

    if len(paths) > 1:
        raise ValueError(f"give one archive or folder, not {len(paths)}")
    source = paths[0] if paths else None
    for name in names:
        with current.attempt():
            if source is None and licence_is_new(name):
                print_line(foreign_models()[name].notice())
                if not accept and not typer.confirm("Download it?"):
                    raise ValueError(f"{name} was not downloaded")
            import_foreign(name, source, accepted=True, **hooks(current))
            current.clear()
            print_line(f"{name} → {resolve(name)}")


@models.command()
def export(
    name: Annotated[str, typer.Argument(help="Name of a model.", show_default=False)],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="File to write; by default named like the model."),
    ] = None,
    format: Annotated[
        str,
        typer.Option(
            "--format",
            help="weights: the file itself; onnx: a graph for ONNX runtimes; bioimageio: a model "
            "package of bioimage.io. The last two are compared with torch, and need the extra "
            "'export'.",
        ),
    ] = "weights",
) -> None:
    """Write a model to a file, for this program or for others."""
    with session() as current:
        from napari_atomseg.weights import export_model

        written = export_model(
            name, name if out is None else out, cast("Format", format), **hooks(current)
        )
        current.clear()
        print_line(f"{name} → {written}")


@models.command()
def remove(names: Names) -> None:
    """Delete downloaded models, or models of your own."""
    with session() as current:
        from napari_atomseg.weights import remove_model

        for name in names:
            with current.attempt():
                remove_model(name)
                print_line(f"removed {name}")
