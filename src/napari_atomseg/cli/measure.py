"""The commands that measure: each is made from a measurement, when it is asked for."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from napari_atomseg.cli.app import app, print_line, session
from napari_atomseg.cli.options import (
    AxisCommand,
    DatasetOption,
    Reading,
    hooks,
    with_parameters,
)

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from napari_atomseg._shared.types import Sampling
    from napari_atomseg.measurements import Measurement, Report

ABOUT = "Measure columns: lattice, spacings, strain, defects, counts, time."


class _Measurements(TyperGroup):
    """Makes the command of a measurement when it is asked for, so that other commands are quick."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of measurements, and of the commands beside them."""
        from napari_atomseg.measurements import MEASUREMENTS

        return [*MEASUREMENTS, *super().list_commands(ctx)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command; None where there is none."""
        from napari_atomseg.measurements import MEASUREMENTS

        if cmd_name not in MEASUREMENTS:
            return super().get_command(ctx, cmd_name)
        alone = typer.Typer(add_completion=False)
        known = MEASUREMENTS[cmd_name]
        about = f"{known.summary}\n\n{known.notes}"
        alone.command(cmd_name, cls=AxisCommand, help=about)(_command(known))
        return typer.main.get_command(alone)


measure = typer.Typer(cls=_Measurements, help=ABOUT, no_args_is_help=True)
app.add_typer(measure, name="measure")


@measure.callback()
def group() -> None:
    """Measure columns: lattice, spacings, strain, defects, counts, time."""


@measure.command(cls=AxisCommand)
def library(
    crystal: Annotated[str, typer.Argument(help="Name of a crystal, or a structure file.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="CSV.", show_default=False)],
    zone_axis: Annotated[
        str, typer.Option(help="Indices u v w along the beam, or u v t w of a hexagonal crystal.")
    ] = "0 0 1",
    largest: Annotated[int, typer.Option(help="Largest number of atoms.")] = 10,
    element: Annotated[
        str | None, typer.Option(help="Element of the columns.", show_default=False)
    ] = None,
    energy: Annotated[float, typer.Option(help="Energy of the electrons, eV.")] = 200e3,
    semiangle: Annotated[float, typer.Option(help="Semi-angle of the probe, mrad.")] = 20.0,
    detector: Annotated[tuple[float, float], typer.Option(help="Inner and outer angle, mrad.")] = (
        60.0,
        200.0,
    ),
    phonons: Annotated[
        int, typer.Option(help="Configurations of vibrating atoms; 0 for atoms at rest.")
    ] = 20,
    seed: Annotated[int, typer.Option(help="Seed of the vibrations.")] = 0,
) -> None:
    """Simulate the cross-sections of 1, 2, … atoms, by multislice."""
    with session([output], [Path(crystal)]) as current:
        from napari_atomseg.analysis import simulate_library
        from napari_atomseg.io.columns.csv_table import write_csv
        from napari_atomseg.specimen.crystals.axis import read_axis

        table = simulate_library(
            *(crystal, read_axis(zone_axis), largest, element),
            energy=energy,
            semiangle=semiangle,
            detector=detector,
            frozen_phonons=phonons,
            seed=seed,
            **hooks(current),
        )
        write_csv(output, table)
        print_line(f"{crystal}: {len(table)} cross-sections → {output}")


def _command(known: Measurement) -> Callable[..., None]:
    """The command of a measurement: reads, measures, prints the summary, and writes."""
    from napari_atomseg.measurements.registry import CommonSettings, Needs
    from napari_atomseg.settings import fields_of, options

    def command(**given: Any) -> None:
        files = {name: given.pop(name) for name in own}
        in_folder = known.columns is not Needs.REQUIRED and files["output"].is_dir()
        writes = [files.get("model"), None if in_folder else files["output"]]
        with session(writes, (files.get("table"), files.get("image"))) as current:
            from napari_atomseg.io import provenance
            from napari_atomseg.io.inputs import positions
            from napari_atomseg.measurements import measure as run
            from napari_atomseg.measurements.files import write_report

            common = {name: given.pop(name) for name in fields_of(CommonSettings)}
            common |= CommonSettings(**common)
            columns, image, scale, inputs = _read(files, common.pop("sampling"))
            report = run(
                known.name, columns, image, sampling=scale, **common, **given, **hooks(current)
            )
            current.clear()
            settings = {
                name: value.name if isinstance(value, Path) else value
                for name, value in (given | common | files).items()
                if name not in ("table", "output", "model")
            }
            source = files["image"] if known.columns is not Needs.REQUIRED else files["table"]
            if files.get("model") is not None:
                _write_model(report, files["model"])
            record = provenance(
                f"measure {known.name}",
                source.name,
                settings | {"sampling": scale},
                inputs=inputs,
                result=None if report.columns is None else positions(report.columns),
            )
            if files.get("frame") is not None:
                record["frame"] = [files["frame"]]
            write_report(known, report, files["output"], scale, record)
            for line in report.summary:
                print_line(line)
            print_line(f"{source} → {files['output']}")

    own = {each.name: each for each in _files(known)}
    settings = [*options(known.settings), *options(CommonSettings)]
    return with_parameters(command, [*own.values(), *settings])


def _files(known: Measurement) -> list[inspect.Parameter]:
    """The files of a command: those that it needs are arguments, the others are options."""
    from napari_atomseg.measurements.registry import Needs

    needed, empty = Needs.REQUIRED, inspect.Parameter.empty
    parameters = []

    def add(name: str, kind: Any, about: Any, default: Any = None) -> None:
        annotation = Annotated[kind, about]
        parameters.append(
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
            )
        )

    table = "Table of columns, in any format of `columns`."
    if known.image is needed:
        add("image", Path, typer.Argument(help="Image file."), empty)
    if known.columns is needed:
        add("table", Path, typer.Argument(help=table), empty)
    folder = "Folder for the images, or table of the result."
    result = "Table of the result; further tables are written beside it."
    output = typer.Option(
        "--output",
        "-o",
        help=result if known.columns is needed else folder,
        show_default=False,
    )
    add("output", Path, output, empty)
    if known.image is Needs.OPTIONAL:
        add("image", Path | None, typer.Option(help="Image of the columns.", show_default=False))
    if known.columns is Needs.OPTIONAL:
        add("table", Path | None, typer.Option("--columns", help=table, show_default=False))
    if known.makes_atoms:
        model = "Atoms in 3-D, in any format of ASE, such as .xyz."
        add("model", Path | None, typer.Option(help=model, show_default=False))
    if known.image is not Needs.NOTHING:
        parameters.append(
            inspect.Parameter(
                "dataset", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=DatasetOption
            )
        )
    if not known.stack:
        add("frame", int | None, typer.Option(help="Frame of a stack.", show_default=False))
    return parameters


def _read(
    files: dict[str, Any], sampling: Sampling | None
) -> tuple[pd.DataFrame | None, np.ndarray | None, Any, dict[str, Any]]:
    """The columns, the image, the sampling that one of them has, if it is not given, and what they
    are, for the record.
    """
    from napari_atomseg.io.inputs import INPUT

    columns, image, scale = None, None, sampling
    inputs: dict[str, Any] = {}
    if files.get("table") is not None:
        path = files["table"]
        columns, scale, inputs["of"] = _columns_of(path, sampling, files.get("frame"))
    if files.get("image") is not None:
        reading = Reading(files.get("dataset"), files.get("frame"), scale)
        single = "frame" in files
        read = reading.plane(files["image"]) if single else reading.image(files["image"])
        image, scale = read.data, read.sampling if single else scale
        inputs["on" if inputs else "of"] = read.metadata[INPUT]
    return columns, image, scale, inputs


def _columns_of(
    path: Path, sampling: Sampling | None, frame: int | None
) -> tuple[pd.DataFrame, Any, dict[str, Any]]:
    """The columns of a file, or of one frame in it, their sampling, and what they are."""
    from napari_atomseg.io import read_columns
    from napari_atomseg.io.inputs import columns_input

    columns = read_columns(path, sampling=sampling)
    described = columns_input(columns, path.stem, file=path)
    if frame is not None:
        if "frame" not in columns or not (columns["frame"] == frame).any():
            raise ValueError(f"{path}: no columns of frame {frame}")
        attrs = columns.attrs
        columns = columns[columns["frame"] == frame].reset_index(drop=True)
        columns.attrs = attrs
    scale = columns.attrs.get("sampling") if sampling is None else sampling
    return columns, scale, described


def _write_model(report: Report, path: Path) -> None:
    from napari_atomseg.io.columns.atoms import write_atoms

    if report.atoms is None:
        raise ValueError("there is no 3-D model: it needs --spacing and --sampling")
    write_atoms(path, report.atoms)
