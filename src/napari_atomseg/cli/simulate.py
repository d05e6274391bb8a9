"""The command that simulates an image; its options are the settings of `simulate`."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_atomseg.cli.app import Session, app, print_line, session
from napari_atomseg.cli.options import check_suffix, with_late_settings

_OF_RECIPES = ("shape", "seed")
"""Settings that a sample of a recipe has too."""


def _simulate(
    context: typer.Context,
    output: Annotated[Path, typer.Option("--output", "-o", help="Image file: .tif, .h5 or .zarr.")],
    crystal: Annotated[
        str | None,
        typer.Argument(
            help="Name of a built-in crystal, such as SrTiO3, or a CIF or XYZ file.",
            show_default=False,
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            help="Draw a sample of a recipe instead: a shipped one, or a YAML file.",
            show_default=False,
        ),
    ] = None,
    index: Annotated[int, typer.Option(help="Number of the recipe's sample.")] = 0,
    columns: Annotated[
        Path | None, typer.Option(help="CSV file for the true columns.", show_default=False)
    ] = None,
    ideal: Annotated[
        Path | None, typer.Option(help="Image file for the undistorted image.", show_default=False)
    ] = None,
    masks: Annotated[
        Path | None,
        typer.Option(help="Image file for a label image of the columns.", show_default=False),
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or mps.")] = "cpu",
    **settings: Any,
) -> None:
    writes = (output, columns, ideal, masks)
    reads = [None if name is None else Path(name) for name in (crystal, recipe)]
    with session(writes, reads) as current:
        for each in (output, ideal, masks):
            if each is not None:
                check_suffix(each)
        if recipe is not None:
            source = context.get_parameter_source
            given = [
                name
                for name in ("crystal", *settings)
                if name not in _OF_RECIPES and "COMMANDLINE" in str(source(name))
            ]
            simulation = _sample(recipe, index, settings, device, given)
        else:
            simulation = _crystal(crystal, settings, device, current)
        current.cancel.raise_if_cancelled()
        _write(simulation, str(recipe or crystal), output, columns, ideal, masks)
        current.clear()
        name = crystal if recipe is None else f"{recipe} {index}"
        told = "; ".join([f"{len(simulation.columns)} columns", *simulation.notes])
        print_line(f"{name}: {told} → {output}")


def _sample(
    recipe: str, index: int, settings: dict[str, Any], device: str, given: list[str]
) -> Any:
    from napari_atomseg.simulation import sample

    if given:
        raise ValueError(f"a recipe sets everything else: leave out {', '.join(given)}")
    return sample(recipe, index, settings["seed"], settings["shape"], device)


def _crystal(crystal: str | None, settings: dict[str, Any], device: str, current: Session) -> Any:
    from napari_atomseg.simulation import simulate as compute

    if crystal is None:
        raise ValueError("name a crystal, such as SrTiO3, or a recipe with --recipe")
    settings["distortions"] = _distortions(settings["distortions"] or ())
    return compute(
        crystal, **settings, device=device, progress=current.progress, cancel=current.cancel
    )


def _write(
    simulation: Any,
    source: str,
    output: Path,
    columns: Path | None,
    ideal: Path | None,
    masks: Path | None,
) -> None:
    from napari_atomseg.io import provenance, write_columns, write_image
    from napari_atomseg.simulation.result import label_columns

    sampling = simulation.sampling
    record = provenance("simulate", source, simulation.settings)
    write_image(output, simulation.image, sampling, record)
    if ideal is not None:
        write_image(ideal, simulation.ideal, sampling, record)
    if masks is not None:
        positions = simulation.columns[["y", "x"]].to_numpy(dtype=float)
        labels = label_columns(simulation.targets["circular_mask"], positions)
        write_image(masks, labels, sampling, record, labels=True)
    if columns is not None:
        write_columns(columns, simulation.columns, {"sampling": sampling, **record})


def _distortions(words: list[str] | tuple[()]) -> tuple[Any, ...]:
    """Return what is written as a kind, as YAML, or in a YAML file, in the order given."""
    from napari_atomseg._shared.plain_yaml import read_yaml, read_yaml_file

    every: list[Any] = []
    for word in words:
        if word.endswith((".yaml", ".yml")):
            found = read_yaml_file(Path(word))
        else:
            try:
                found = read_yaml(word)
            except ValueError as error:
                raise ValueError(f"distortion={word!r} is not YAML: {error}") from error
        each = found if isinstance(found, list) else [found]
        every += [{"kind": one} if isinstance(one, str) else one for one in each]
    return tuple(every)


def _options() -> list[inspect.Parameter]:
    """Return the options for all settings but the crystal, which is an argument."""
    from napari_atomseg.settings import options
    from napari_atomseg.simulation.settings import SimulationSettings

    distortion = inspect.Parameter(
        "distortions",
        inspect.Parameter.KEYWORD_ONLY,
        default=[],
        annotation=Annotated[
            list[str],
            typer.Option(
                "--distortion",
                help="A further distortion as a kind, as YAML, or as a YAML file; applied in the "
                "order given.",
                rich_help_panel="Further distortions",
                show_default=False,
            ),
        ],
    )
    return [*options(SimulationSettings, leave_out=("crystal", "distortions")), distortion]


@app.command(cls=with_late_settings(_simulate, _options))
def simulate() -> None:
    """Simulate an image of a crystal, or a sample of a recipe, with its truth."""
