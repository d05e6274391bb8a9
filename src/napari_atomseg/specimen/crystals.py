"""The crystal book: conventional unit cells by name, built with ASE.

Cell constants are the room-temperature values of the ICSD entries usually quoted for each phase.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from ase import Atoms


def _bulk(symbol: str, structure: str, a: float) -> Atoms:
    from ase.build import bulk

    return bulk(symbol, structure, a=a, cubic=True)


def _spacegroup(
    symbols: list[str],
    basis: list[tuple[float, float, float]],
    number: int,
    cell: tuple[float, ...],
) -> Atoms:
    from ase.spacegroup import crystal

    return crystal(symbols, basis, spacegroup=number, cellpar=list(cell))


def _perovskite(a_site: str, b_site: str, a: float) -> Atoms:
    basis = [(0.0, 0.0, 0.0), (0.5, 0.5, 0.5), (0.5, 0.5, 0.0)]
    return _spacegroup([a_site, b_site, "O"], basis, 221, (a, a, a, 90, 90, 90))


def _dysprosium_scandate() -> Atoms:
    basis = [(0.0172, 0.0608, 0.25), (0.0, 0.5, 0.0), (0.1197, 0.447, 0.25), (0.693, 0.304, 0.0608)]
    return _spacegroup(["Dy", "Sc", "O", "O"], basis, 62, (5.44, 5.717, 7.903, 90, 90, 90))


def _graphene() -> Atoms:
    from ase.build import graphene

    return cast("Atoms", graphene(a=2.461, vacuum=3.35))


def _hexagonal_bn() -> Atoms:
    from ase.build import graphene

    return cast("Atoms", graphene("BN", a=2.504, vacuum=3.33))


def _transition_metal_disulphide(formula: str, a: float, thickness: float) -> Atoms:
    from ase.build import mx2

    return cast("Atoms", mx2(formula, kind="2H", a=a, thickness=thickness, vacuum=3.0))


_BUILDERS: dict[str, Callable[[], Atoms]] = {
    "Pt": lambda: _bulk("Pt", "fcc", 3.924),
    "Au": lambda: _bulk("Au", "fcc", 4.078),
    "Si": lambda: _bulk("Si", "diamond", 5.431),
    "GaAs": lambda: _bulk("GaAs", "zincblende", 5.653),
    "NiO": lambda: _bulk("NiO", "rocksalt", 4.177),
    "CeO2": lambda: _spacegroup(
        ["Ce", "O"], [(0, 0, 0), (0.25, 0.25, 0.25)], 225, (5.411, 5.411, 5.411, 90, 90, 90)
    ),
    "SrTiO3": lambda: _perovskite("Sr", "Ti", 3.905),
    "BaTiO3": lambda: _perovskite("Ba", "Ti", 4.000),
    "TiO2": lambda: _spacegroup(
        ["Ti", "O"], [(0, 0, 0), (0.305, 0.305, 0)], 136, (4.594, 4.594, 2.959, 90, 90, 90)
    ),
    "DyScO3": _dysprosium_scandate,
    "graphene": _graphene,
    "hBN": _hexagonal_bn,
    "MoS2": lambda: _transition_metal_disulphide("MoS2", 3.160, 3.17),
    "WS2": lambda: _transition_metal_disulphide("WS2", 3.153, 3.14),
}

SINGLE_LAYERS = frozenset({"graphene", "hBN", "MoS2", "WS2"})
"""Two-dimensional materials, looked at along their normal."""


def crystals() -> list[str]:
    """Names of the crystals that `simulate` knows."""
    return list(_BUILDERS)


def get_crystal(name: str) -> Atoms:
    """Conventional unit cell of a crystal of the book.

    Raises
    ------
    ValueError
        The name is not in `crystals()`.
    """
    if name not in _BUILDERS:
        raise ValueError(f"crystal={name!r} is not known; choose one of {', '.join(_BUILDERS)}")
    return _BUILDERS[name]()
