"""Columns as ASE atoms, and in XYZ and CIF files that keep every digit."""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import numpy as np
import pandas as pd

from napari_atomseg._shared.files import whole_file
from napari_atomseg._shared.geometry import median_spacing
from napari_atomseg._shared.plain_json import read_json
from napari_atomseg._shared.types import Sampling
from napari_atomseg._shared.units import pixel_size
from napari_atomseg.io.columns.table import column_file_error, with_positions
from napari_atomseg.io.columns.text import RECORD, numbers, record, table, tag_names, words

if TYPE_CHECKING:
    from ase import Atoms

UNKNOWN = "X"
"""Symbol of atoms of unknown element."""
THICKNESS = 10.0
"""Size of the box along the beam, Å."""
_ELEMENTS = ("elements", "element", "species", "sublattice")
"""Columns of a table that may hold the element."""

Elements = str | Mapping[Any, str]


def columns_to_atoms(
    columns: pd.DataFrame,
    sampling: Sampling | None = None,
    *,
    elements: Elements | None = None,
    shape: tuple[int, int] | None = None,
    thickness: float = THICKNESS,
) -> Atoms:
    """One atom for each column, in the plane z = 0 of an orthogonal box without periodicity.

    ASE's x and y are those of the image, in Å from the centre of its first pixel: y grows
    downwards, as rows do, and z along the beam.

    Parameters
    ----------
    columns : table with ``y`` and ``x`` in px. Its other numbers become arrays of the atoms.
    sampling : Å per pixel, one number or (dy, dx); by default that of the table's ``attrs``.
    elements : symbol of all columns, or of each value of the column ``elements``, ``element``,
        ``species`` or ``sublattice``. By default the heaviest element in these values, such
        as Ti in "TiO"; X where there is none.
    shape : (H, W) of the image, for the size of the box; by default it ends half a spacing after
        the last column.
    thickness : size of the box along the beam, Å.

    Raises
    ------
    ValueError
        The sampling is unknown or not valid, or an element does not exist.
    """
    from ase import Atoms

    known = columns.attrs.get("sampling") if sampling is None else sampling
    if known is None:
        raise ValueError("positions of atoms are in Å: give the sampling, Å per pixel")
    dy, dx = pixel_size(known)
    y, x = columns["y"].to_numpy(float) * dy, columns["x"].to_numpy(float) * dx
    if shape is None:
        margin = 0.5 * float(np.nan_to_num(median_spacing(np.stack([y, x], axis=1))))
        size = [float(np.nanmax(v, initial=0.0)) + margin for v in (y, x)]
    else:
        size = [shape[0] * dy, shape[1] * dx]
    atoms = Atoms(
        symbols=_symbols(columns, elements),
        # As in `Structure.to_ase`: (row, col) of the image becomes (x, y) of ASE.
        positions=np.stack([x, y, np.zeros(len(x))], axis=1),
        cell=[max(size[1], dx), max(size[0], dy), thickness],
    )
    for name, tag in zip(columns, tag_names(columns), strict=True):
        values = numbers(columns[name])
        if values is not None and tag not in atoms.arrays:
            atoms.set_array(tag, values)
    return atoms


def write_xyz(partial: Path, frames: Sequence[tuple[pd.DataFrame, Atoms]], metadata: Any) -> None:
    """Write extended XYZ for ASE and OVITO: a configuration for each frame of a stack.

    ASE's own writer keeps eight decimals; here every number keeps all its digits.
    """
    lines = []
    for columns, atoms in frames:
        tags = [f"col_{tag}" for tag in tag_names(columns)]
        kinds = [_kind(column) for _, column in columns.items()]
        properties = ":".join(f"{t}:{k}:1" for t, k in zip(tags, kinds, strict=True))
        cell = " ".join(map(str, atoms.cell.array.ravel().tolist()))
        lines += [
            str(len(atoms)),
            f'Lattice="{cell}" Properties=species:S:1:pos:R:3:{properties} '
            f'{RECORD}={quote(record(columns, metadata), safe="")} pbc="F F F"',
        ]
        fields = [words(column) for _, column in columns.items()]
        logical = {"True": "T", "False": "F"}
        for k, kind in enumerate(kinds):
            if kind == "L":
                fields[k] = [logical[word] for word in fields[k]]
        places = [" ".join(map(str, p)) for p in atoms.positions.tolist()]
        lines += map(" ".join, zip(atoms.symbols, places, *fields, strict=True))
    partial.write_text("\n".join(lines) + "\n", encoding="ascii")


def write_atoms(path: str | Path, atoms: Atoms) -> None:
    """Write a model of atoms in the format of its suffix, whatever ASE writes.

    Raises
    ------
    ValueError
        ASE writes no format with this suffix, or needs another package for it.
    OSError
        The file cannot be written; an existing one stays as it was.
    """
    from ase.io import write
    from ase.io.formats import UnknownFileTypeError

    path = Path(path)
    with TemporaryDirectory() as folder:
        # Its format and its compression follow from its name.
        made = Path(folder) / path.name
        try:
            write(made, atoms)
        except UnknownFileTypeError as error:
            raise ValueError(f"{path}: atoms are not written as {path.suffix!r} files") from error
        with whole_file(path) as partial:
            shutil.copyfile(made, partial)


def read_xyz(path: Path, sampling: Sampling | None) -> pd.DataFrame:
    """Columns of an extended XYZ file of this package, or x and y (Å) of any other.

    Raises
    ------
    OSError
        Not an XYZ file; the message names it.
    ValueError
        A file of another program, and `sampling` is not given.
    """
    from ase.io import read

    try:
        images = read(path, ":", format="extxyz")
        tables = [_own(atoms) for atoms in images if RECORD in atoms.info]
    except Exception as error:  # ASE's reader raises any exception on a damaged file
        raise column_file_error(path, f"not an XYZ file of columns ({error!r})") from error
    if not images:
        raise column_file_error(path, "an XYZ file without atoms")
    if tables:
        return _joined(tables)
    foreign = []
    for number, atoms in enumerate(images):
        part = pd.DataFrame(atoms.positions[:, :2], columns=["x", "y"])
        part["elements"] = list(atoms.symbols)
        part = with_positions(part, ("y", "x"), "Å", sampling)
        foreign.append(part.assign(frame=number) if len(images) > 1 else part)
    result = pd.concat(foreign, ignore_index=True)
    result.attrs = {"sampling": sampling}
    return result


def write_cif(partial: Path, frames: Sequence[tuple[pd.DataFrame, Atoms]], metadata: Any) -> None:
    """Write CIF through ASE: the table in tags of this package, a data block for each frame."""
    from ase.io.cif import write_cif as write

    blocks = []
    for number, (columns, atoms) in enumerate(frames):
        keys = {
            f"{RECORD}_{tag}": [words(column)]
            for tag, (_, column) in zip(tag_names(columns), columns.items(), strict=True)
        }
        buffer = io.BytesIO()
        write(buffer, [atoms], wrap=False, loop_keys=keys)
        block = buffer.getvalue().decode("latin-1").replace("data_image0", f"data_image{number}", 1)
        content = quote(record(columns, metadata), safe=' "[]{}:,')
        broken = "\n".join(content[i : i + 1000] for i in range(0, len(content), 1000))
        blocks.append(f"{block}\n_{RECORD}_record\n;\n{broken}\n;\n")
    partial.write_text("\n".join(blocks), encoding="ascii")


def read_cif(path: Path) -> pd.DataFrame:
    """Columns of a CIF file that `write_cif` wrote.

    Raises
    ------
    OSError
        Not a CIF file, or one without columns of an image; the message names it.
    """
    from gemmi import cif

    tables = []
    try:
        for block in cif.read(str(path)):
            value = block.find_value(f"_{RECORD}_record")
            if value is not None:
                content = unquote(cif.as_string(value).replace("\n", ""))
                tags = _tags(content)
                found = {tag: list(block.find_loop(f"_{RECORD}_{tag}")) for tag in tags}
                tables.append(table(content, found))
    except Exception as error:  # gemmi raises any exception on a damaged file
        raise column_file_error(path, f"not a CIF file of columns ({error})") from error
    if not tables:
        raise column_file_error(path, "a crystal, or another CIF file without columns of an image")
    return _joined(tables)


def _kind(column: pd.Series) -> str:
    """Letter of a column's type in extended XYZ."""
    values = numbers(column)
    return "S" if values is None else {"f": "R", "b": "L"}.get(values.dtype.kind, "I")


def _own(atoms: Atoms) -> pd.DataFrame:
    content = unquote(str(atoms.info[RECORD]))
    return table(content, {tag: atoms.arrays[f"col_{tag}"].tolist() for tag in _tags(content)})


def _tags(content: str) -> list[str]:
    return [tag for tag, _, _ in read_json(content)["columns"]]


def _joined(tables: list[pd.DataFrame]) -> pd.DataFrame:
    result = pd.concat(tables, ignore_index=True)
    result.attrs = tables[0].attrs
    return result


def _symbols(columns: pd.DataFrame, elements: Elements | None) -> list[str]:
    from ase.data import atomic_numbers

    if isinstance(elements, str):
        symbols = [elements] * len(columns)
    else:
        name = next((name for name in _ELEMENTS if name in columns), None)
        said = [None] * len(columns) if name is None else columns[name].tolist()
        if elements is not None:
            if name is None:
                raise ValueError(f"the table has no column of elements; add one of {_ELEMENTS}")
            chosen = {str(key): symbol for key, symbol in elements.items()}
            symbols = [chosen.get(str(value), UNKNOWN) for value in said]
        else:
            symbols = [_heaviest(value, atomic_numbers) for value in said]
    strange = next((symbol for symbol in symbols if symbol not in atomic_numbers), None)
    if strange is not None:
        raise ValueError(f"elements={strange!r} is no symbol of an element")
    return symbols


def _heaviest(value: Any, numbers: Mapping[str, int]) -> str:
    found = re.findall(r"[A-Z][a-z]?", value) if isinstance(value, str) else []
    return max((s for s in found if s in numbers), key=numbers.__getitem__, default=UNKNOWN)
