"""Zone axes are found from columns alone, and what cannot be told apart is said to be so."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import write

import napari_atomseg as atomseg
from napari_atomseg.analysis import Lattice, assign, find_lattice, find_zone_axis, name_by_elements
from napari_atomseg.progress import Cancelled, CancelToken
from napari_atomseg.specimen.crystals.builtin import get_crystal
from napari_atomseg.specimen.crystals.crystal import material_name
from napari_atomseg.specimen.crystals.projection import project
from napari_atomseg.specimen.crystals.zone import in_plane_turn, orient

SAMPLING = 0.1
WURTZITE = bulk("ZnO", "wurtzite", a=3.25, c=5.2)
ZINC = bulk("Zn", "hcp", a=2.66, c=4.95)
TRICLINIC = Atoms(
    "AuCuTi",
    [[0.0, 0.0, 0.0], [1.3, 2.1, 2.5], [3.0, 1.2, 4.1]],
    cell=[4.1, 5.0, 6.3, 81, 95, 104],
    pbc=True,
)
CASES: list[tuple[Any, tuple[int, int, int]]] = [
    *[("SrTiO3", axis) for axis in ((0, 0, 1), (1, 1, 0), (1, 1, 1))],
    *[("Si", axis) for axis in ((0, 0, 1), (1, 1, 0), (1, 1, 1), (1, 1, 2))],
    *[("Au", axis) for axis in ((0, 0, 1), (1, 1, 0), (1, 1, 1), (1, 1, 2))],
    *[("PbTiO3", axis) for axis in ((0, 0, 1), (1, 0, 0), (1, 1, 0))],
    *[("TiO2", axis) for axis in ((0, 0, 1), (1, 0, 0), (1, 0, 1))],
    *[("DyScO3", axis) for axis in ((0, 0, 1), (1, 1, 0))],
    *[("graphene", (0, 0, 1)), ("MoS2", (0, 0, 1)), ("LiCoO2", (1, 1, 0))],
    *[(WURTZITE, axis) for axis in ((0, 0, 1), (1, 1, 0), (2, 1, 0))],
]
NAMES = [f"{c if isinstance(c, str) else 'ZnO'}{''.join(map(str, axis))}" for c, axis in CASES]
QUICK = {"SrTiO3001", "Si110", "Au111", "graphene001", "ZnO001"}


def columns_of(
    crystal: Any,
    axis: tuple[int, int, int],
    *,
    turn: float = 0.0,
    noise: float = 0.05,
    scale: float = 1.0,
    faintest: float = 0.1,
    size: float = 40.0,
    bright: bool = True,
) -> pd.DataFrame:
    """Columns of a crystal, those fainter than a part of the brightest left out; noise in Å."""
    lattice = project(get_crystal(crystal), axis).rotated(turn)
    columns = lattice.fill(np.zeros(2), np.full(2, size), np.full(2, 0.5 * size))
    columns = columns.select(columns.weight >= faintest * columns.weight.max())
    rng = np.random.default_rng(3)
    points = scale * columns.points + rng.normal(0.0, noise, columns.points.shape)
    table = pd.DataFrame(points / SAMPLING, columns=["y", "x"])
    if bright:
        table["volume"] = columns.weight * rng.normal(1.0, 0.05, len(columns))
    return table


def uvw(row: Any) -> tuple[int, ...]:
    return tuple(int(row[name]) for name in "uvw")


@pytest.mark.parametrize(
    ("crystal", "axis"),
    [
        pytest.param(*case, id=name, marks=() if name in QUICK else pytest.mark.slow)
        for case, name in zip(CASES, NAMES, strict=True)
    ],
)
def test_axes_are_found_at_any_turn_with_noise_and_a_wrong_scale(crystal, axis) -> None:
    columns = columns_of(crystal, axis, turn=23.0, scale=1.02)
    zones = find_zone_axis(find_lattice(columns, SAMPLING), [crystal, ZINC], largest_index=2)
    best = zones.iloc[0]
    assert (best["crystal"], uvw(best)) == (material_name(crystal), axis)
    assert best["fits"]
    assert (zones["rank"] == 1).sum() == 1
    assert best["length_misfit_percent"] == pytest.approx(2.0, abs=0.15)
    assert best["angle_misfit_deg"] == pytest.approx(0.0, abs=0.15)
    assert best["motif_rms_pm"] < 2.0
    assert best["sampling"] == pytest.approx(SAMPLING / 1.02, rel=1e-3)
    # Without a sampling it is among the best, and tells the sampling.
    blind = find_zone_axis(find_lattice(columns), crystal, largest_index=2)
    assert axis in [uvw(row) for _, row in blind[blind["rank"] == 1].iterrows()]
    assert blind.iloc[0]["sampling"] == pytest.approx(SAMPLING / 1.02, rel=2e-3)


@pytest.mark.parametrize(
    "axis",
    [
        (1, 0, 0),
        *(pytest.param(a, marks=pytest.mark.slow) for a in ((1, 0, 2), (-1, 0, -2), (1, 1, 1))),
        (-2, 1, -1),
    ],
)
def test_side_and_directions_of_a_crystal_without_symmetry(axis) -> None:
    turn = 40.0
    columns = columns_of(TRICLINIC, axis, turn=turn)
    lattice = find_lattice(columns, SAMPLING)
    best = find_zone_axis(lattice, TRICLINIC, largest_index=2).iloc[0]
    # It is not seen from its other side.
    assert uvw(best) == axis
    frame = orient(TRICLINIC, axis).frame
    for name, vector in zip("ab", lattice.vectors, strict=True):
        integers = [int(i) for i in best[f"{name}_direction"].strip("[]").split()]
        along = (integers @ TRICLINIC.cell.array @ frame)[:2] @ in_plane_turn(turn)
        cosine = along @ vector / np.linalg.norm(along) / np.linalg.norm(vector)
        assert cosine > np.cos(np.radians(1.0))


@pytest.mark.slow
@pytest.mark.parametrize("cell", ["conventional", "primitive"])
@pytest.mark.parametrize("faintest", [0.0, 0.1, 0.6])
def test_cells_of_any_kind_with_light_columns_seen_or_not(cell, faintest) -> None:
    columns = columns_of("SrTiO3", (0, 0, 1), turn=10.0, faintest=faintest)
    lattice = find_lattice(columns, SAMPLING, cell=cell)
    assert len(lattice) == {0.0: 4, 0.1: 2, 0.6: 1}[faintest]
    best = find_zone_axis(lattice, "SrTiO3").iloc[0]
    assert uvw(best) == (0, 0, 1)
    assert best["elements"] == ", ".join(["Sr", "TiO", "O", "O"][: len(lattice)])
    assert best["expected_a_angstrom"] == pytest.approx(3.905)


@pytest.mark.slow
def test_lattices_without_brightness_tell_which_columns_may_stand_there() -> None:
    columns = columns_of("SrTiO3", (0, 0, 1), bright=False)
    lattice = find_lattice(columns, SAMPLING)
    assert len(lattice) == 1
    best = find_zone_axis(lattice, "SrTiO3").iloc[0]
    assert uvw(best) == (0, 0, 1)
    assert best["elements"] == "Sr or TiO"
    assert best["a_angstrom"] == pytest.approx(3.905 / np.sqrt(2), rel=1e-3)


@pytest.mark.slow
def test_mirrored_and_other_cells_change_neither_axis_nor_misfit() -> None:
    lattice = find_lattice(columns_of("PbTiO3", (1, 0, 0), turn=33.0), SAMPLING)
    first = find_zone_axis(lattice, "PbTiO3").iloc[0]
    for matrix in ([[0, 1], [1, 0]], [[1, 1], [0, 1]], [[2, 0], [0, 1]], [[1, 2], [-1, 1]]):
        other = find_zone_axis(lattice.with_cell(matrix), "PbTiO3").iloc[0]
        assert other["zone_axis"] == first["zone_axis"]
        assert other["score"] == pytest.approx(first["score"], abs=1e-6)
        assert other["sampling"] == pytest.approx(first["sampling"])


@pytest.mark.slow
def test_unresolved_columns_are_seen_as_one() -> None:
    """Dumbbells of Si [1 1 2], 0.78 Å, as one column."""
    columns = columns_of("Si", (1, 1, 2), noise=0.01)
    whole = find_lattice(columns, SAMPLING)
    assert len(whole) == 2
    middle = whole.motif[0] + 0.5 * ((whole.motif[1] - whole.motif[0] + 0.5) % 1.0 - 0.5)
    joined = Lattice(whole.origin + middle @ whole.vectors, whole.vectors, pixel=whole.pixel)
    best = find_zone_axis(joined, "Si").iloc[0]
    assert uvw(best) == (1, 1, 2)
    assert best["elements"] == "Si"
    assert not find_zone_axis(joined, "Si", resolution=0.5).iloc[0]["fits"]


@pytest.mark.slow
def test_small_alternating_displacements_need_not_be_seen() -> None:
    """Dy of DyScO3 is 9 pm off its middle place along [0 1 0], the noise is 10 pm."""
    lattice = find_lattice(columns_of("DyScO3", (0, 1, 0), noise=0.1), SAMPLING)
    assert len(lattice) == 2
    best = find_zone_axis(lattice, "DyScO3", largest_index=2).iloc[0]
    assert uvw(best) == (0, 1, 0)
    assert best["elements"] == "Dy, Sc"


@pytest.mark.slow
def test_a_wrong_crystal_does_not_fit() -> None:
    lattice = find_lattice(columns_of("SrTiO3", (1, 1, 0)), SAMPLING)
    wrong = find_zone_axis(lattice, ["Au", "Si", "NiO"])
    assert not wrong["fits"].any()
    assert wrong["score"].max() < 0.1
    large = np.abs(wrong["length_misfit_percent"]) / 100 > 0.05
    assert (large | (wrong["motif_rms_pm"] > 20)).all()
    both = find_zone_axis(lattice, ["Au", "SrTiO3"])
    assert both.iloc[0][["crystal", "zone_axis"]].tolist() == ["SrTiO3", "[1 1 0]"]


@pytest.mark.slow
def test_without_a_sampling_fcc_and_bcc_cannot_be_told_apart() -> None:
    tungsten = bulk("W", "bcc", a=3.165, cubic=True)
    for axis in ((0, 0, 1), (1, 1, 1)):
        columns = columns_of("Au", axis)
        zones = find_zone_axis(find_lattice(columns), ["Au", tungsten])
        first = zones[zones["rank"] == 1].set_index("crystal")
        assert {"Au", "W2"} <= set(first.index), axis
        assert first.loc["Au", "sampling"] == pytest.approx(SAMPLING, rel=1e-3)
        assert abs(first.loc["W2", "sampling"] / SAMPLING - 1.0) > 0.04
        known = find_zone_axis(find_lattice(columns, SAMPLING), ["Au", tungsten])
        assert known.loc[known["rank"] == 1, "crystal"].tolist() == ["Au"]
    # Along [1 1 0] fcc has a centred rectangle of that ratio, bcc one that is not centred.
    zones = find_zone_axis(find_lattice(columns_of("Au", (1, 1, 0))), ["Au", tungsten])
    assert zones.loc[zones["rank"] == 1, ["crystal", "zone_axis"]].values.tolist() == [
        ["Au", "[1 1 0]"]
    ]


@pytest.mark.slow
def test_crystals_of_one_lattice_are_equally_good() -> None:
    zones = find_zone_axis(find_lattice(columns_of("Au", (1, 1, 0)), SAMPLING), ["Au", "Pt"])
    assert zones["crystal"].tolist()[:2] == ["Au", "Pt"]
    silver = bulk("Ag", "fcc", a=4.086, cubic=True)
    zones = find_zone_axis(find_lattice(columns_of("Au", (1, 1, 0)), SAMPLING), ["Au", silver])
    assert zones["rank"].tolist()[:3] == [1, 1, 3]


@pytest.mark.slow
def test_brightness_tells_the_two_ends_of_a_polar_crystal() -> None:
    columns = columns_of("GaAs", (1, 1, 0), noise=0.01)
    lattice = find_lattice(columns, SAMPLING)
    upright = find_zone_axis(lattice, "GaAs").iloc[0]
    assert upright["elements"].split(", ")[0] == "As"
    columns["volume"] = 700.0 - columns["volume"] + 700.0
    turned = find_zone_axis(find_lattice(columns, SAMPLING), "GaAs").iloc[0]
    assert turned["b_direction"] != upright["b_direction"] or (
        turned["a_direction"] != upright["a_direction"]
    )


@pytest.mark.slow
@pytest.mark.parametrize(("crystal", "axis"), [("Si", (1, 1, 0)), ("SrTiO3", (1, 1, 0))])
def test_brightness_need_not_count(crystal, axis) -> None:
    columns = columns_of(crystal, axis, turn=50.0)
    columns["volume"] = 2.0 * columns["volume"].max() - columns["volume"]
    lattice = find_lattice(columns, SAMPLING)
    best = find_zone_axis(lattice, crystal, by_intensity=False).iloc[0]
    assert uvw(best) == axis
    assert best["score"] > 0.5


@pytest.mark.slow
def test_a_simulated_image_is_recognized() -> None:
    simulation = atomseg.simulate(
        "SrTiO3", (1, 1, 0), shape=(256, 256), sampling=SAMPLING, dose=1e5, rotation=17.0, seed=2
    )
    columns = atomseg.localize(
        simulation.image, sampling=SAMPLING, detector="peaks", refine="gaussian", edge="drop"
    )
    lattice = find_lattice(columns, SAMPLING)
    zones = find_zone_axis(lattice, ["Si", "SrTiO3", "Au"])
    best = zones.iloc[0]
    assert best[["crystal", "zone_axis", "rank"]].tolist() == ["SrTiO3", "[1 1 0]", 1]
    assert (zones["rank"] == 1).sum() == 1
    assert abs(best["length_misfit_percent"]) < 1.0
    named = name_by_elements(columns, lattice, best)
    bright = named.groupby("species")["volume"].median()
    assert bright["SrO"] > bright["Ti"]


def test_columns_are_named_by_elements() -> None:
    columns = columns_of("SrTiO3", (0, 0, 1))
    lattice = find_lattice(columns, SAMPLING)
    best = find_zone_axis(lattice, "SrTiO3").iloc[0]
    sites = assign(columns, lattice)
    sites.loc[0, "sublattice"] = -1
    named = name_by_elements(sites, lattice, best)
    assert named["species"].iloc[0] == ""
    rest = named.iloc[1:]
    assert set(rest.loc[rest["volume"] > 350, "species"]) == {"Sr"}
    assert set(rest.loc[rest["volume"] < 350, "species"]) == {"TiO"}
    with pytest.raises(ValueError, match="sublattices"):
        name_by_elements(columns, lattice.with_cell([[1, 1], [0, 2]]), best)


@pytest.mark.slow
def test_files_are_crystals_and_pixels_need_not_be_square(tmp_path) -> None:
    path = tmp_path / "rutile.cif"
    write(path, get_crystal("TiO2"))
    columns = columns_of("TiO2", (0, 0, 1), turn=30.0)
    columns["y"] /= 2.0
    best = find_zone_axis(find_lattice(columns, (0.2, 0.1)), path).iloc[0]
    assert best[["crystal", "zone_axis"]].tolist() == ["rutile.cif", "[0 0 1]"]
    assert best["sampling"] == pytest.approx(np.sqrt(0.02), rel=1e-3)


SQUARE = Lattice([0, 0], [[0, 39], [39, 0]], pixel=0.1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("crystals", "options", "message"),
    [
        ("Xx", {}, "not known"),
        ([], {}, "empty"),
        ("Au", {"largest_index": 0}, "largest_index"),
        ("Au", {"largest_index": 9}, "largest_index"),
        ("Au", {"tolerance": 0.0}, "tolerance"),
        ("Au", {"tolerance": float("nan")}, "tolerance"),
        ("Au", {"resolution": -1.0}, "resolution"),
        ("amorphous carbon", {}, "no columns"),
        ("amorphous graphene", {}, "too many columns"),
    ],
)
def test_wrong_arguments_are_named(crystals, options, message) -> None:
    with pytest.raises(ValueError, match=message):
        find_zone_axis(SQUARE, crystals, **options)


def test_wrong_types_missing_files_and_cancelling(tmp_path) -> None:
    with pytest.raises(TypeError, match="find_lattice"):
        find_zone_axis(pd.DataFrame(), "Au")  # type: ignore[arg-type]
    with pytest.raises(OSError, match=r"none\.cif"):
        find_zone_axis(SQUARE, tmp_path / "none.cif")
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        find_zone_axis(SQUARE, "Au", cancel=cancel)
