"""Built-in crystals: conventional unit cells by name, and crystals from files and ASE.

Cell constants and coordinates are the room-temperature values of the ICSD entries usually quoted
for each phase: the fluorite, rutile, rock-salt, diamond and zinc-blende types with one published
lattice constant each; PbTiO3 of Nelmes and Kuhs (Solid State Commun. 54, 721, 1985), DyScO3 of
Veličkov et al. (Z. Kristallogr. 222, 466, 2007), Co3O4 of Smith and Hobson (Acta Cryst. B29, 362,
1973), LiCoO2 of Orman and Wiseman (Acta Cryst. C40, 12, 1984). BaTiO3 is its cubic phase.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from napari_atomseg.specimen.crystals.mixed import marked, mixtures_of, written

if TYPE_CHECKING:
    from ase import Atoms

Site = tuple[str, float, float, float]


def _bulk(symbol: str, structure: str, a: float) -> Atoms:
    from ase.build import bulk

    return bulk(symbol, structure, a=a, cubic=True)


def _space_group(symbol: str, cell: tuple[float, ...], sites: Sequence[Site]) -> Atoms:
    """The cell that a space group (Hermann–Mauguin, with its setting) makes of a few sites."""
    import gemmi
    from ase import Atoms

    operations = gemmi.SpaceGroup(symbol).operations()
    symbols: list[str] = []
    positions: list[np.ndarray] = []
    for element, *site in sites:
        orbit: list[np.ndarray] = []
        for operation in operations:
            image = np.array(operation.apply_to_xyz(list(site))) % 1.0
            offsets = np.array([image - other for other in orbit]).reshape(-1, 3)
            if np.all(np.linalg.norm(offsets - np.round(offsets), axis=1) > 1e-3):
                orbit.append(image)
        symbols += [element] * len(orbit)
        positions += orbit
    lengths_angles = list(cell) if len(cell) == 6 else [*cell, 90, 90, 90]
    return Atoms(symbols, scaled_positions=np.array(positions), cell=lengths_angles, pbc=True)


def _perovskite(a_site: str, b_site: str, a: float) -> Atoms:
    sites = [(a_site, 0.0, 0.0, 0.0), (b_site, 0.5, 0.5, 0.5), ("O", 0.5, 0.5, 0.0)]
    return _space_group("P m -3 m", (a, a, a), sites)


def _lead_titanate() -> Atoms:
    a, c = LEAD_TITANATE_CELL
    ti, apical, planar = LEAD_TITANATE_HEIGHTS
    sites = [("Pb", 0, 0, 0), ("Ti", 0.5, 0.5, ti), ("O", 0.5, 0.5, apical), ("O", 0.5, 0, planar)]
    return _space_group("P 4 m m", (a, a, c), sites)


def _dysprosium_scandate() -> Atoms:
    """In the setting Pbnm, whose [110] and [001] are the pseudocubic axes."""
    sites = [
        ("Dy", -0.0172, 0.0608, 0.25),
        ("Sc", 0.5, 0.0, 0.0),
        ("O", 0.1197, 0.447, 0.25),
        ("O", 0.693, 0.304, 0.0608),
    ]
    return _space_group("P b n m", (5.443, 5.717, 7.901), sites)


def _graphene() -> Atoms:
    from ase.build import graphene

    return cast("Atoms", graphene(a=GRAPHENE_CELL, vacuum=3.35))


def _hexagonal_bn() -> Atoms:
    from ase.build import graphene

    return cast("Atoms", graphene("BN", a=2.504, vacuum=3.33))


def _transition_metal_disulphide(formula: str, a: float, thickness: float) -> Atoms:
    from ase.build import mx2

    return cast("Atoms", mx2(formula, kind="2H", a=a, thickness=thickness, vacuum=3.0))


def _amorphous_graphene() -> Atoms:
    from napari_atomseg.specimen.matter.amorphous import amorphous_graphene

    atoms = amorphous_graphene(0)
    atoms.pbc = (True, True, False)
    return atoms


def _amorphous_carbon() -> Atoms:
    from napari_atomseg.specimen.matter.amorphous import amorphous_carbon

    return amorphous_carbon(0)


GRAPHENE_CELL = 2.461
"""Å."""
LEAD_TITANATE_CELL = (3.904, 4.152)
"""a and c of tetragonal PbTiO3 in Å."""
LEAD_TITANATE_HEIGHTS = (0.5377, 0.1118, 0.6174)
"""Ti, apical O and planar O of PbTiO3 above Pb, in units of c (Nelmes and Kuhs 1985)."""
STRONTIUM_TITANATE_CELL = 3.905
"""Å."""

_BUILDERS: dict[str, Callable[[], Atoms]] = {
    "Pt": lambda: _bulk("Pt", "fcc", 3.924),
    "Au": lambda: _bulk("Au", "fcc", 4.078),
    "PtFe": lambda: _space_group(
        "P 4/m m m",
        (3.852, 3.852, 3.713),
        [("Pt", 0, 0, 0), ("Pt", 0.5, 0.5, 0), ("Fe", 0.5, 0, 0.5)],
    ),
    "Si": lambda: _bulk("Si", "diamond", 5.431),
    "GaAs": lambda: _bulk("GaAs", "zincblende", 5.653),
    "NiO": lambda: _bulk("NiO", "rocksalt", 4.177),
    "CeO2": lambda: _space_group(
        "F m -3 m", (5.411, 5.411, 5.411), [("Ce", 0, 0, 0), ("O", 0.25, 0.25, 0.25)]
    ),
    "Co3O4": lambda: _space_group(
        "F d -3 m:2",
        (8.084, 8.084, 8.084),
        [("Co", 0.125, 0.125, 0.125), ("Co", 0.5, 0.5, 0.5), ("O", 0.2631, 0.2631, 0.2631)],
    ),
    "LiCoO2": lambda: _space_group(
        "R -3 m:H",
        (2.8156, 2.8156, 14.0542, 90, 90, 120),
        [("Li", 0, 0, 0.5), ("Co", 0, 0, 0), ("O", 0, 0, 0.2605)],
    ),
    "SrTiO3": lambda: _perovskite("Sr", "Ti", STRONTIUM_TITANATE_CELL),
    "BaTiO3": lambda: _perovskite("Ba", "Ti", 4.000),
    "PbTiO3": _lead_titanate,
    "TiO2": lambda: _space_group(
        "P 42/m n m", (4.594, 4.594, 2.959), [("Ti", 0, 0, 0), ("O", 0.305, 0.305, 0)]
    ),
    "DyScO3": _dysprosium_scandate,
    "graphene": _graphene,
    "hBN": _hexagonal_bn,
    "MoS2": lambda: _transition_metal_disulphide("MoS2", 3.160, 3.17),
    "WS2": lambda: _transition_metal_disulphide("WS2", 3.153, 3.14),
    "amorphous graphene": _amorphous_graphene,
    "amorphous carbon": _amorphous_carbon,
}

SINGLE_LAYERS = frozenset({"graphene", "hBN", "MoS2", "WS2", "amorphous graphene"})
"""Two-dimensional materials, looked at along their normal."""

COLUMNLESS = frozenset({"amorphous carbon"})
"""Matter with no atomic columns in any direction."""


def crystals() -> list[str]:
    """Names of the crystals that `simulate` knows."""
    return list(_BUILDERS)


def get_crystal(crystal: str | Path | Atoms) -> Atoms:
    """Unit cell of a crystal, or a single object such as a particle where nothing repeats.

    Parameters
    ----------
    crystal : name from `crystals()`, path of a file that ASE reads (CIF, XYZ, POSCAR, …), or Atoms.

    Returns
    -------
    Atoms that repeat along the axes for which `pbc` is true.

    Raises
    ------
    ValueError
        The name is not in `crystals()` and no file, or the atoms make no crystal: none at all, no
        volume, positions that are no numbers, atoms closer than 0.5 Å.
    OSError
        The file is missing, or cannot be read as a crystal.
    """
    if not isinstance(crystal, str | Path):
        return check_crystal(crystal, "crystal")
    if str(crystal) in _BUILDERS:
        return _BUILDERS[str(crystal)]()
    path = Path(crystal).expanduser()
    if isinstance(crystal, Path) or path.suffix or path.exists():
        return read_crystal(path)
    raise ValueError(
        f"crystal={crystal!r} is not known; choose one of {', '.join(_BUILDERS)}, "
        "or give the path of a CIF or XYZ file"
    )


OVERLAP = 0.5
"""Å; atoms closer than this are an error of the file, as no bond is shorter than 0.74 Å."""


VACUUM = 5.0
"""Å of vacuum around matter along axes for which no cell is given."""


def read_crystal(path: Path) -> Atoms:
    """Atoms of a file in any format that ASE reads; of several frames, the last.

    Sites that a CIF file gives as mixed or partly occupied are marked, see `mixed.marked`, and a
    warning says what becomes of them.

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
        atoms = check_crystal(cast("Atoms", atoms), path.name)
    # Each of ASE's readers fails in its own way.
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise OSError(f"{path} cannot be read as a crystal: {reason}") from error
    _, mixtures = mixtures_of(atoms)
    if mixtures:
        warnings.warn(
            f"{path.name} has sites that are mixed or partly occupied, {written(mixtures)}: a "
            "simulated crystal has each drawn by its occupancies from the seed, recipes and zone "
            "axes take their mean",
            stacklevel=3,
        )
    return atoms


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
    atoms = marked(atoms, OVERLAP)
    first, second, distance = neighbor_list("ijd", atoms, OVERLAP)
    if len(distance):
        raise ValueError(
            f"{name} has atoms closer than {OVERLAP} Å: atoms {first[0]} and {second[0]} lie "
            f"{distance[0]:.2f} Å apart"
        )
    return atoms
