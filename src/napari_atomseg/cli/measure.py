"""The commands that measure columns of a crystal against its lattice; each is one function."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_atomseg.cli.app import app, print_line, session
from napari_atomseg.cli.measure_tables import SITES, as_record, described, lattice_of, read, write
from napari_atomseg.cli.options import hooks

measure = typer.Typer(
    help="Measure columns: lattice, spacings, strain, defects, counts, time.", no_args_is_help=True
)
app.add_typer(measure, name="measure")

Table = Annotated[Path, typer.Argument(help="Table of columns, in any format of `columns`.")]
Result = Annotated[Path, typer.Option("--output", "-o", help="Table, as CSV.", show_default=False)]
Pixel = Annotated[
    float | None,
    typer.Option(help="Å per pixel; by default what the table says.", show_default=False),
]
Frame = Annotated[int | None, typer.Option(help="Of a stack.", show_default=False)]
Region = Annotated[
    tuple[float, float, float, float] | None,
    typer.Option(
        help="Rows and columns (y0 x0 y1 x1, px) of where strain is 0; by default everywhere.",
        show_default=False,
    ),
]
XAxis = Annotated[
    str, typer.Option(help="x of the strain: image, a, b, or degrees counter-clockwise.")
]
STRAINS = ("eps_xx", "eps_yy", "eps_xy", "rotation_deg")


@measure.callback()
def group() -> None:
    """Measure columns: lattice, spacings, strain, defects, counts, time."""


@measure.command()
def lattice(
    table: Table,
    output: Result,
    names: Annotated[
        str | None,
        typer.Option(help="Of the species, the brightest first: Sr,Ti,O.", show_default=False),
    ] = None,
    cell: Annotated[str, typer.Option(help="conventional or primitive.")] = "conventional",
    intensity: Annotated[
        str | None,
        typer.Option(help="Column that tells species apart; by default volume or amplitude."),
    ] = None,
    sampling: Pixel = None,
    frame: Frame = None,
) -> None:
    """Find the unit cell, and the site, sublattice and species of each column."""
    with session():
        from napari_atomseg.analysis import assign, find_lattice, species
        from napari_atomseg.analysis.lattice.sites import intensity_of

        columns, scale = read(table, sampling, frame)
        columns = columns.drop(columns=SITES, errors="ignore")
        found = find_lattice(columns, scale, cell=cell, intensity=intensity)
        placed = assign(columns, found)
        if names is not None or intensity_of(columns, intensity) is not None:
            chosen = None if names is None else names.split(",")
            placed = species(placed, found, chosen, intensity=intensity)
        settings = {"cell": cell, "names": names, "intensity": intensity, "sampling": scale}
        write(output, placed, "lattice", table, settings, lattice=as_record(found))
        for line in described(found):
            print_line(line)
        on = int((placed["sublattice"] >= 0).sum())
        print_line(f"{table}: {on} of {len(placed)} columns on sites → {output}")


@measure.command()
def spacings(
    table: Table,
    output: Result,
    target: Annotated[float, typer.Option(help="Precision asked of the mean of frames, pm.")] = 1.0,
    sampling: Pixel = None,
    frame: Frame = None,
) -> None:
    """Spacings along a and b, their scatter, and the frames that a precision needs."""
    with session():
        import pandas as pd

        from napari_atomseg.analysis import spacing_precision
        from napari_atomseg.analysis import spacings as spacings_of

        columns, scale = read(table, sampling, frame)
        found = lattice_of(columns, scale)
        result = spacings_of(columns, found)
        scattered = pd.DataFrame()
        if found.pixel is not None:
            scattered = spacing_precision(columns, found, target)
        for row in scattered.itertuples():
            print_line(
                f"{row.Index}: {row.mean_angstrom:.4f} ± {row.mean_err_angstrom:.4f} Å, "
                f"scatter {row.deviation_pm:.2f} ± {row.deviation_err_pm:.2f} pm; "
                f"{row.frames:.0f} frames for {target:g} pm"
            )
        write(output, result, "spacings", table, {"target": target, "sampling": scale})
        print_line(f"{table}: {len(result)} spacings → {output}")


@measure.command()
def displacements(
    table: Table,
    output: Result,
    sublattice: Annotated[int, typer.Option(help="Whose columns are displaced.")] = 1,
    neighbours: Annotated[
        str | None,
        typer.Option(help="Sublattices around: 0 or 0,2; by default all others."),
    ] = None,
    coordination: Annotated[
        int | None, typer.Option(help="Neighbours of a column; by default the first shell.")
    ] = None,
    charge: Annotated[
        float | None,
        typer.Option(help="Born effective charge, e: gives the polarization.", show_default=False),
    ] = None,
    volume: Annotated[
        float | None,
        typer.Option(help="Å³ for each displaced ion, with --charge.", show_default=False),
    ] = None,
    sampling: Pixel = None,
    frame: Frame = None,
) -> None:
    """Displacements of a sublattice from the centres of its neighbours, and polarization."""
    with session():
        from napari_atomseg.analysis import displacements as displaced
        from napari_atomseg.analysis import polarization

        if (charge is None) != (volume is None):
            raise ValueError("polarization needs both --charge and --volume")
        columns, scale = read(table, sampling, frame)
        around = None if neighbours is None else tuple(int(n) for n in neighbours.split(","))
        found = lattice_of(columns, scale)
        result = displaced(columns, found, sublattice, around, coordination)
        if charge is not None and volume is not None:
            result = polarization(result, charge, volume)
        settings = {"sublattice": sublattice, "neighbours": neighbours, "sampling": scale}
        settings |= {"coordination": coordination, "charge": charge, "volume": volume}
        write(output, result, "displacements", table, settings)
        name, unit = ("_pm", "pm") if "dy_pm" in result else ("", "px")
        if len(result):
            dy, dx = result[f"dy{name}"].mean(), result[f"dx{name}"].mean()
            print_line(f"mean displacement (y, x): ({dy:.2f}, {dx:.2f}) {unit}")
        print_line(f"{table}: {len(result)} displacements → {output}")


@measure.command()
def strain(
    table: Table,
    output: Result,
    reference: Region = None,
    radius: Annotated[
        float | None,
        typer.Option(help="Of each fit, px; by default 1.6 of the longer lattice vector."),
    ] = None,
    x_axis: XAxis = "image",
    sampling: Pixel = None,
    frame: Frame = None,
) -> None:
    """Strain and rotation about each column, from positions."""
    with session():
        from napari_atomseg.analysis import find_lattice
        from napari_atomseg.analysis import strain as strain_of

        columns, scale = read(table, sampling, frame)
        if reference is None:
            found = lattice_of(columns, scale)
        else:
            columns = columns.drop(columns=SITES, errors="ignore")
            y0, x0, y1, x1 = reference
            inside = columns["y"].between(y0, y1) & columns["x"].between(x0, x1)
            found = find_lattice(columns[inside], scale)
        result = strain_of(columns, found, radius=radius, x_axis=axis(x_axis))
        settings = {"reference": reference, "radius": radius, "x_axis": x_axis, "sampling": scale}
        write(output, result, "strain", table, settings)
        for name in STRAINS:
            print_line(f"{name}: median {result[name].median():.5f}")
        print_line(f"{table}: strain of {int(result['eps_xx'].notna().sum())} columns → {output}")


@measure.command()
def gpa(
    image: Annotated[Path, typer.Argument(help="Image file.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for eps_xx.tif and so on.")
    ],
    reference: Region = None,
    resolution: Annotated[
        float | None,
        typer.Option(help="Sigma of the average, px; by default 0.8 periods.", show_default=False),
    ] = None,
    x_axis: XAxis = "image",
    sampling: Pixel = None,
) -> None:
    """Strain and rotation as images, by geometric phase analysis."""
    with session() as current:
        import numpy as np

        from napari_atomseg.analysis import geometric_phase
        from napari_atomseg.io import provenance, read_image, write_image

        picture = read_image(image)
        scale = picture.sampling if sampling is None else sampling
        mask = None
        if reference is not None:
            y0, x0, y1, x1 = reference
            rows, cols = np.ogrid[: picture.data.shape[0], : picture.data.shape[1]]
            mask = (rows >= y0) & (rows <= y1) & (cols >= x0) & (cols <= x1)
        maps = geometric_phase(
            picture.data,
            sampling=scale,
            reference=mask,
            resolution=resolution,
            x_axis=axis(x_axis),
            **hooks(current),
        )
        settings = {"reference": reference, "resolution": maps.resolution, "x_axis": x_axis}
        settings["reflections"] = maps.reflections.tolist()
        record = provenance("measure gpa", image.name, settings)
        output.mkdir(parents=True, exist_ok=True)
        for name in STRAINS:
            values = getattr(maps, name)
            write_image(output / f"{name}.tif", values.astype(np.float32), scale, record)
            error = np.nanmedian(getattr(maps, f"{name}_err"))
            print_line(f"{name}: median {np.nanmedian(values):.5f}, error of a pixel {error:.5f}")
        print_line(f"{image}: strain over {maps.resolution:.1f} px → {output}")


def axis(text: str) -> str | float:
    """What `x_axis` takes: a name, or degrees."""
    return text if text.isalpha() else float(text)
