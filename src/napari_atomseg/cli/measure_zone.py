"""The command that finds the zone axis of a known crystal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_atomseg.cli.app import print_line, session
from napari_atomseg.cli.measure import Frame, Pixel, Result, Table, measure
from napari_atomseg.cli.measure_tables import lattice_of, read
from napari_atomseg.cli.options import hooks

if TYPE_CHECKING:
    import pandas as pd

PRINTED = 5
"""Candidates, beside those that cannot be told from the best."""


@measure.command()
def zone(
    table: Table,
    output: Result,
    crystal: Annotated[
        list[str],
        typer.Option(help="Name of a crystal, or a file of one; may be given several times."),
    ],
    largest_index: Annotated[int, typer.Option(help="Of the axes that are tried.")] = 3,
    tolerance: Annotated[
        float, typer.Option(help="Error of lengths that may be expected, as a part of them.")
    ] = 0.02,
    resolution: Annotated[
        float, typer.Option(help="Columns closer than this may be seen as one, Å.")
    ] = 1.0,
    by_intensity: Annotated[
        bool,
        typer.Option(
            "--by-intensity/--by-position",
            help="Whether bright columns are those that scatter more, as in dark field.",
        ),
    ] = True,
    sampling: Pixel = None,
    frame: Frame = None,
) -> None:
    """Find the zone axis of a known crystal, or which of several it is."""
    with session() as current:
        from napari_atomseg._shared.files import whole_file
        from napari_atomseg.analysis import find_zone_axis
        from napari_atomseg.io import provenance
        from napari_atomseg.io.columns.csv_table import write_table

        columns, scale = read(table, sampling, frame)
        options: dict[str, Any] = {"largest_index": largest_index, "tolerance": tolerance}
        options |= {"resolution": resolution, "by_intensity": by_intensity}
        found = find_zone_axis(lattice_of(columns, scale), crystal, **options, **hooks(current))
        current.clear()
        settings = options | {"crystals": crystal, "sampling": scale}
        with whole_file(output) as partial:
            write_table(partial, found, provenance("measure zone", table.name, settings))
        for line in described(found, known=scale is not None):
            print_line(line)
        print_line(f"{table}: {len(found)} zone axes → {output}")


def described(zones: pd.DataFrame, *, known: bool) -> list[str]:
    """The best candidates in lines."""
    lines = [] if known else ["the sampling is not known: only the shape of the cell counts"]
    if not zones["fits"].iloc[0]:
        lines.append("no zone axis fits; the nearest are:")
    for row in zones.head(max(PRINTED, int((zones["rank"] == 1).sum()))).itertuples():
        implied = "" if known else f", {row.sampling:.4f} Å/px"
        lines.append(
            f"{row.rank}. {row.crystal} {row.zone_axis}: score {row.score:.3f}, lengths "
            f"{row.length_misfit_percent:+.2f} %, angle {row.angle_misfit_deg:+.2f}°, columns off "
            f"{row.motif_rms_pm:.1f} pm{implied}; a along {row.a_direction}, b along "
            f"{row.b_direction}; {row.elements}"
        )
    return lines
