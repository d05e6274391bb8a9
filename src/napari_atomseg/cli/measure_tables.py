"""Tables that the measure commands read and write, and the lattice between them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from napari_atomseg.analysis import Lattice

SITES = ["i", "j", "sublattice"]


def read(table: Path, sampling: float | None, frame: int | None = None) -> tuple[pd.DataFrame, Any]:
    """The columns of a file, or of one frame in it, and their sampling."""
    from napari_atomseg.io import read_columns

    columns = read_columns(table, sampling=sampling)
    if frame is not None:
        if "frame" not in columns or not (columns["frame"] == frame).any():
            raise ValueError(f"{table}: no columns of frame {frame}")
        attrs = columns.attrs
        columns = columns[columns["frame"] == frame].reset_index(drop=True)
        columns.attrs = attrs
    return columns, columns.attrs.get("sampling") if sampling is None else sampling


def write(
    path: Path,
    result: pd.DataFrame,
    command: str,
    source: Path,
    settings: dict[str, Any],
    **more: Any,
) -> None:
    """Write a table with how it was made."""
    from napari_atomseg.io import provenance, write_columns

    result.attrs = {"sampling": settings.get("sampling")} if settings.get("sampling") else {}
    write_columns(path, result, provenance(f"measure {command}", source.name, settings) | more)


def lattice_of(columns: pd.DataFrame, sampling: Any) -> Lattice:
    """The lattice that `measure lattice` found of a table, as long as it has its sites; or anew."""
    from napari_atomseg.analysis import Lattice, find_lattice

    known = columns.attrs.get("lattice")
    if isinstance(known, dict) and set(SITES) <= set(columns):
        return Lattice(**(known | {"pixel": sampling}))
    for name in set(SITES) & set(columns):
        del columns[name]
    return find_lattice(columns, sampling)


def as_record(found: Lattice) -> dict[str, Any]:
    """What makes a lattice again, as plain values."""
    import numpy as np

    names = ["origin", "vectors", "motif", "vectors_err", "motif_err"]
    if np.isfinite(np.asarray(found.intensity)).all():
        names.append("intensity")
    return {name: getattr(found, name).tolist() for name in names}


def described(found: Lattice) -> list[str]:
    """A lattice in lines."""
    import numpy as np

    known = found.pixel is not None
    unit, lengths = ("Å", found.lengths_angstrom) if known else ("px", found.lengths)
    errors = found.lengths_err * lengths / found.lengths
    a, b = (f"{n:.4f} ± {e:.4f} {unit}" for n, e in zip(lengths, errors, strict=True))
    lines = [
        f"a = {a}, b = {b}, angle {found.angle_deg:.2f}°, a turned by {found.rotation_deg:.2f}°"
    ]
    for k, (u, v) in enumerate(found.motif):
        intensity, share = np.asarray(found.intensity)[k], np.asarray(found.occupancy)[k]
        lines.append(
            f"sublattice {k}: at {u:.3f} a + {v:.3f} b, intensity {intensity:.4g}, "
            f"occupied {100 * share:.0f} %"
        )
    return lines
