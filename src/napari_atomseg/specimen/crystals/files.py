"""Crystals that users bring: files and ASE Atoms, checked before they are used."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

if TYPE_CHECKING:
    from ase import Atoms

OVERLAP = 0.5
"""Å; atoms closer than this are an error of the file, as no bond is shorter than 0.74 Å."""
VACUUM = 5.0
"""Å of vacuum around matter along axes for which no cell is given."""


def read_crystal(path: Path) -> Atoms:
    """Atoms of a file in any format that ASE reads; of several frames, the last.

    Sites that a CIF file gives as partly occupied hold their most frequent element where at least
    half of them are occupied, and are empty otherwise; a warning says so.

    Raises
    ------
    OSError
        The file is missing, or holds no crystal; the message names it.
    """
    from ase.io import read

    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file, and no crystal of that name")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            atoms = read(path)
        return check_crystal(_whole_sites(cast("Atoms", atoms), path), path.name)
    # Each of ASE's readers fails in its own way.
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise OSError(f"{path} cannot be read as a crystal: {reason}") from error


def check_crystal(atoms: Atoms, name: str) -> Atoms:
    """A copy of atoms that make a crystal or an object, with a cell along every axis.

    Raises
    ------
    TypeError
        These are no Atoms.
    ValueError
        There are none, positions are no numbers, elements are unknown, the cell has no volume, or
        atoms overlap; the message starts with `name`.
    """
    from ase import Atoms
    from ase.neighborlist import neighbor_list

    if not isinstance(atoms, Atoms):
        raise TypeError(
            f"{name} is a {type(atoms).__name__}; give a name, the path of a file, or ASE Atoms"
        )
    if len(atoms) == 0:
        raise ValueError(f"{name} holds no atoms")
    atoms = atoms.copy()
    if not (np.isfinite(atoms.positions).all() and np.isfinite(atoms.cell.array).all()):
        raise ValueError(f"{name} has positions or cell vectors that are no finite numbers")
    if atoms.numbers.min() < 1 or atoms.numbers.max() > 118:
        raise ValueError(f"{name} holds atoms of no known element")
    lengths = np.linalg.norm(atoms.cell.array, axis=1)
    if np.any((lengths < 1e-6) & atoms.pbc):
        raise ValueError(f"{name} repeats along an axis without a cell vector")
    for axis in np.flatnonzero(lengths < 1e-6):
        atoms.center(vacuum=VACUUM, axis=int(axis))
    if atoms.get_volume() < 1e-3:
        raise ValueError(f"{name} has a cell of no volume: {atoms.cell.array.tolist()}")
    first, second, distance = neighbor_list("ijd", atoms, OVERLAP)
    if len(distance):
        raise ValueError(
            f"{name} has atoms closer than {OVERLAP} Å: atoms {first[0]} and {second[0]} lie "
            f"{distance[0]:.2f} Å apart"
        )
    return atoms


def _whole_sites(atoms: Atoms, path: Path) -> Atoms:
    occupancy = atoms.info.get("occupancy", {})
    keep = np.ones(len(atoms), dtype=bool)
    partial = []
    for key, elements in occupancy.items():
        members = atoms.arrays["spacegroup_kinds"] == int(key)
        total, (most, _) = sum(elements.values()), max(elements.items(), key=lambda e: e[1])
        if len(elements) > 1 or total < 0.999:
            partial.append(f"{elements}")
        keep[members] = total >= 0.5
        atoms.symbols[members] = most
    if partial:
        warnings.warn(
            f"{path.name} has partly occupied sites {', '.join(partial)}: each is taken as its "
            "most frequent element, and as empty where less than half of it is occupied",
            stacklevel=4,
        )
    return atoms[keep]
