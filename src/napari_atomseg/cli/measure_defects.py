"""The commands that measure defects, thickness and time; each is one function."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from napari_atomseg.cli.app import print_line, session
from napari_atomseg.cli.measure import Frame, Pixel, Result, Table, measure
from napari_atomseg.cli.measure_tables import lattice_of, read, write
from napari_atomseg.cli.options import hooks


@measure.command()
def defects(table: Table, output: Result, sampling: Pixel = None, frame: Frame = None) -> None:
    """Dislocations with their Burgers vectors, and vacancies."""
    with session():
        import pandas as pd

        from napari_atomseg.analysis import find_dislocations, find_vacancies

        columns, scale = read(table, sampling, frame)
        dislocations = find_dislocations(columns, scale).assign(kind="dislocation")
        vacancies = find_vacancies(columns, scale, lattice_of(columns, scale))
        parts = [part for part in (dislocations, vacancies.assign(kind="vacancy")) if len(part)]
        both = pd.concat(parts or [dislocations], ignore_index=True)
        write(output, both, "defects", table, {"sampling": scale})
        for row in dislocations.itertuples():
            print_line(
                f"dislocation at y {row.y:.1f}, x {row.x:.1f} px: "
                f"b = {row.burgers_a} a + {row.burgers_b} b"
                + ("" if scale is None else f", {row.burgers_angstrom:.3f} Å")
            )
        print_line(
            f"{table}: {len(dislocations)} dislocations, {len(vacancies)} vacancies → {output}"
        )


@measure.command()
def grains(
    table: Table,
    output: Result,
    fold: Annotated[
        int | None,
        typer.Option(help="2, 4 or 6 fold bonds; by default what they have.", show_default=False),
    ] = None,
    tolerance: Annotated[
        float, typer.Option(help="Change of orientation at a column of a grain, degrees.")
    ] = 4.0,
    smallest: Annotated[int, typer.Option(help="Columns that a grain needs.")] = 12,
    sampling: Pixel = None,
    frame: Frame = None,
) -> None:
    """Grains by local orientation, and the boundaries between them."""
    with session():
        from napari_atomseg.analysis import find_grains

        columns, scale = read(table, sampling, frame)
        found = find_grains(columns, scale, fold=fold, tolerance_deg=tolerance, smallest=smallest)
        settings = {"fold": found.fold, "tolerance": tolerance, "smallest": smallest}
        write(output, found.columns, "grains", table, settings | {"sampling": scale})
        for row in found.grains.itertuples():
            print_line(
                f"grain {row.grain}: {row.columns} columns, orientation "
                f"{row.orientation_deg:.2f} ± {row.orientation_deg_err:.2f}°"
            )
        unit = "px" if scale is None else "Å"
        for row in found.boundaries.itertuples():
            print_line(
                f"boundary {row.grain}|{row.other}: misorientation {row.misorientation_deg:.2f} ± "
                f"{row.misorientation_deg_err:.2f}°, {row.length:.1f} {unit} long"
            )
        print_line(f"{table}: {len(found.grains)} grains → {output}")


@measure.command()
def rings(
    table: Table,
    output: Result,
    longest_bond: Annotated[
        float | None,
        typer.Option(help="Å, or px without a sampling; by default 1.3 of the typical one."),
    ] = None,
    sampling: Pixel = None,
    frame: Frame = None,
) -> None:
    """Rings of bonded atoms in a two-dimensional material, and its defects."""
    with session():
        from napari_atomseg.analysis import find_rings

        columns, scale = read(table, sampling, frame)
        found = find_rings(columns, scale, longest_bond=longest_bond)
        settings = {"longest_bond": longest_bond, "sampling": scale}
        write(output, found.table, "rings", table, settings)
        for size, count in found.table["size"].value_counts().sort_index().items():
            print_line(f"{count} rings of {size}")
        lacking = found.defects["missing"].astype(str)
        for row, missing in zip(found.defects.itertuples(), lacking, strict=True):
            known = "" if missing == "<NA>" else f", {missing} atoms missing"
            print_line(f"{row.name} at y {row.y:.1f}, x {row.x:.1f} px{known}")
        print_line(f"{table}: {len(found.defects)} defects → {output}")


@measure.command()
def counts(
    table: Table,
    output: Result,
    library: Annotated[
        Path | None,
        typer.Option(
            help="CSV with count and section; without one, a mixture.", show_default=False
        ),
    ] = None,
    fit_scale: Annotated[
        bool, typer.Option("--fit-scale", help="Find the library's scale, too.")
    ] = False,
    components: Annotated[
        int | None,
        typer.Option(help="Of the mixture; by default what its likelihood says."),
    ] = None,
    first: Annotated[
        int | None,
        typer.Option(help="Atoms of the thinnest component; by default by a straight line."),
    ] = None,
    value: Annotated[
        str,
        typer.Option(help="Column with the cross-sections; with a library, integral is better."),
    ] = "volume",
    width: Annotated[
        str, typer.Option(help="Of a class: common, growing with its mean, or auto.")
    ] = "auto",
    model: Annotated[
        Path | None,
        typer.Option(help="Atoms in 3-D, in any format of ASE, such as .xyz.", show_default=False),
    ] = None,
    element: Annotated[str, typer.Option(help="Of the model.")] = "Au",
    spacing: Annotated[float, typer.Option(help="Of its atoms along the beam, Å.")] = 4.08,
    sampling: Pixel = None,
    frame: Frame = None,
) -> None:
    """Count the atoms of columns, by a mixture or by a simulated library."""
    with session() as current:
        from napari_atomseg.analysis import count_by_library, count_by_mixture, start_model
        from napari_atomseg.analysis.counting.library import read_library

        columns, scale = read(table, sampling, frame)
        settings: dict[str, Any] = {"value": value, "width": width, "sampling": scale}
        if library is None:
            settings |= {"components": components, "first": first}
            found = count_by_mixture(
                columns,
                components,
                sampling=scale,
                value=value,
                first=first,
                width=width,
                **hooks(current),
            )
        else:
            settings |= {"library": library.name, "fit_scale": fit_scale}
            found = count_by_library(
                columns,
                read_library(library),
                sampling=scale,
                value=value,
                scale=None if fit_scale else 1.0,
                width=width,
                **hooks(current),
            )
        write(output, found.columns, "counts", table, settings)
        if model is not None:
            if scale is None:
                raise ValueError("a model stands in Å: give --sampling")
            start_model(found.columns, spacing, sampling=scale, element=element).write(model)
        total, error = found.total
        print_line(f"{total:.0f} ± {error:.1f} atoms; {100 * found.miscounted:.1f} % miscounted")
        if found.first == found.first:
            print_line(f"thinnest: {found.first:.2f} ± {found.first_err:.2f} atoms")
        print_line(f"{table}: {int(found.columns['count'].notna().sum())} columns → {output}")


@measure.command()
def library(
    crystal: Annotated[str, typer.Argument(help="Name of a crystal, or a file of one.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="CSV.", show_default=False)],
    zone_axis: Annotated[tuple[int, int, int], typer.Option(help="Along the beam.")] = (0, 0, 1),
    largest: Annotated[int, typer.Option(help="Number of atoms.")] = 10,
    element: Annotated[str | None, typer.Option(help="Of the columns.", show_default=False)] = None,
    energy: Annotated[float, typer.Option(help="eV.")] = 200e3,
    semiangle: Annotated[float, typer.Option(help="Of the probe, mrad.")] = 20.0,
    detector: Annotated[tuple[float, float], typer.Option(help="Inner and outer angle, mrad.")] = (
        60.0,
        200.0,
    ),
    phonons: Annotated[
        int, typer.Option(help="Configurations of vibrating atoms; 0 for atoms at rest.")
    ] = 20,
    seed: Annotated[int, typer.Option(help="Of the vibrations.")] = 0,
) -> None:
    """Simulate the cross-sections of 1, 2, … atoms, by multislice."""
    with session() as current:
        from napari_atomseg.analysis import simulate_library

        table = simulate_library(
            *(crystal, zone_axis, largest, element),
            energy=energy,
            semiangle=semiangle,
            detector=detector,
            frozen_phonons=phonons,
            seed=seed,
            progress=current.progress,
            cancel=current.cancel,
        )
        table.to_csv(output, index=False)
        print_line(f"{crystal}: {len(table)} cross-sections → {output}")


@measure.command()
def tracks(
    table: Table,
    output: Result,
    patience: Annotated[int, typer.Option(help="Frames without a column that are no vacancy.")] = 0,
    reach: Annotated[
        float | None,
        typer.Option(help="Of a site, px; by default 0.45 typical spacings."),
    ] = None,
    hop: Annotated[
        float | None, typer.Option(help="Longest hop, px; by default 1.6 typical spacings.")
    ] = None,
    shape: Annotated[
        tuple[int, int] | None, typer.Option(help="Of a frame, px.", show_default=False)
    ] = None,
    sampling: Pixel = None,
) -> None:
    """Link the columns of a stack: drift, tracks, and beside OUTPUT its vacancies and hops."""
    with session() as current:
        from napari_atomseg.analysis import link_tracks

        columns, scale = read(table, sampling)
        found = link_tracks(
            columns,
            sampling=scale,
            shape=shape,
            reach=reach,
            hop=hop,
            patience=patience,
            **hooks(current),
        )
        settings = {"patience": patience, "reach": reach, "hop": hop, "sampling": scale}
        drift = {"drift": found.drift.tolist(), "drift_err": found.drift_err.tolist()}
        write(output, found.columns, "tracks", table, settings, **drift)
        hops = found.hops.assign(y=found.hops["from_y"], x=found.hops["from_x"])
        for name, events in (("vacancies", found.vacancies), ("hops", hops)):
            path = output.with_name(f"{output.stem}-{name}{output.suffix}")
            write(path, events, "tracks", table, settings)
            print_line(f"{len(events)} {name} → {path}")
        count = found.columns["track"].nunique()
        print_line(f"{table}: {count} tracks over {len(found.drift)} frames → {output}")
