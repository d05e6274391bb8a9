"""Peers beside napari-atomseg, in one run: columns, lattice, displacements, strain, seconds, lines.

    python -m benchmarks measurements peers FOLDER --peers atomap=atomap/bin/python ...
    python -m benchmarks measurements peers FOLDER --pto pto_sro.hspy --si si110_adf_512.png

Each peer is installed into an environment of its own (`python -m venv atomap; atomap/bin/pip
install atomap==0.4.2`), and has a recipe in `recipes/`: a short script by its documentation. Names:
atomap, singleorigin, kemstem, quantem. Peers are told the spacing, and where
they ask for clicks the origin and cell to whole pixels, and the crystal; ours is told the sampling.

One scene is planted: two sublattices of a square cell of 4 Å with counted electrons (150 and 60 in
the brightest pixels on 20), the second kind displaced by 12 pm along y, the right part strained by
1.5 % along x and sheared. `--pto` and `--si` are the multilayer of the TEMUL toolkit and
AtomSegNet's Si [110].
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from ase import Atoms
from ase.build import bulk
from scipy.spatial import cKDTree

from benchmarks import options as shared
from benchmarks import tables
from benchmarks.measurements import peer
from benchmarks.measurements.fitted import BACKGROUND, HEIGHTS, SIGMA
from benchmarks.measurements.planted import CAGE, CELL, SAMPLING, Array, planted, seeded
from benchmarks.measurements.recipes.scene import Scene
from benchmarks.runner import elsewhere
from napari_atomseg.io import read_image

OURS = "ours"
SIZE = 520
STRAIN, SHEAR = 0.015, -0.006
"""Of the right part: ε_xx, and du_y/dx."""
STEP = 15.0
"""px, width of the step of strain."""
REST = (40.0, 200.0)
"""First and last x of the part that is taken for unstrained."""
EDGE = 60.0
"""px from the border within which nothing is compared."""
NEAR = 3.0
"""px, of a column from the true one."""
SI_SAMPLING = 0.098
PM = 100.0


def step(x: Array) -> Array:
    """From 0 in the left part to 1 in the right one."""
    return 1 / (1 + np.exp(-(x - SIZE / 2) / STEP))


def truth() -> pd.DataFrame:
    """True columns: ``y``, ``x``, ``kind``."""
    table = planted(CELL, CAGE, size=SIZE)
    along = STEP * np.log1p(np.exp((table["x"] - SIZE / 2) / STEP))
    return table.assign(y=table["y"] + SHEAR * along, x=table["x"] + STRAIN * along)


def true_shifts(columns: pd.DataFrame) -> Array:
    """(N, 4) places of the second kind and displacements from the mean of four around."""
    first, second = (columns.loc[columns["kind"] == k, ["y", "x"]].to_numpy() for k in (0, 1))
    _, around = cKDTree(first).query(second, 4)
    return np.concatenate([second, second - first[around].mean(axis=1)], axis=1)


def planted_scene(folder: Path) -> Scene:
    """The planted crystal, and its structure for those who need one."""
    table = truth()
    grid = np.arange(SIZE, dtype=float)
    rows, cols = (
        np.exp(-((grid[:, None] - table[axis].to_numpy()) ** 2) / (2 * SIGMA**2)) for axis in "yx"
    )
    image = seeded(75, 0).poisson((rows * np.array(HEIGHTS)[table["kind"]]) @ cols.T + BACKGROUND)
    return perovskite("planted", image.astype(float), SAMPLING, folder, ("Ba", "Ti"), table)


def perovskite(
    name: str,
    image: Array,
    sampling: float,
    folder: Path,
    kinds: tuple[str, str],
    columns: pd.DataFrame | None = None,
) -> Scene:
    """A cubic cell with its B column in the middle; without true columns, ours are the clicks."""
    structure = folder / f"{name}.cif"
    side = float(np.linalg.norm(CELL[0])) * SAMPLING
    Atoms("".join(kinds), scaled_positions=[[0] * 3, [0.5] * 3], cell=[side] * 3, pbc=True).write(
        structure
    )
    vectors = CELL
    if columns is None:
        columns, vectors = clicked(image, sampling)
    bright = columns.loc[columns["kind"] == 0, ["y", "x"]].to_numpy()
    origin = bright[np.argmin(np.linalg.norm(bright - np.array(image.shape) / 2, axis=1))]
    rest = np.array(REST if name == "planted" else (0.0, 0.0))
    zone = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]])
    halves = np.array([0.5, 0.5])
    clicks = (np.round(origin), *np.round(vectors))
    return Scene(name, image, sampling, *clicks, halves, str(structure.resolve()), zone, "", rest)


def clicked(image: Array, sampling: float) -> tuple[pd.DataFrame, Array]:
    """Columns by kind and the cell (down, right), in the place of what a user sees."""
    import napari_atomseg as atomseg
    from napari_atomseg.analysis import assign, find_lattice

    found = atomseg.localize(image, sampling=sampling)
    lattice = find_lattice(found, sampling)
    table = assign(found, lattice)
    down = np.argmax(np.abs(lattice.vectors[:, 0]))
    vectors = lattice.vectors[[down, 1 - down]]
    vectors *= np.sign([[vectors[0, 0]], [vectors[1, 1]]])
    return table[table["sublattice"] >= 0].assign(kind=table["sublattice"]), vectors


def silicon(path: Path, folder: Path) -> Scene:
    """Si along [110]: a dumbbell of a quarter of the longer side."""
    image = grey(path)
    structure = folder / "si.cif"
    bulk("Si", cubic=True).write(structure)
    columns, vectors = clicked(image, SI_SAMPLING)
    lengths = np.linalg.norm(vectors, axis=1)
    u, v = vectors[np.argsort(lengths)]
    bright = columns[["y", "x"]].to_numpy()
    tree = cKDTree(bright)
    # The first column of a dumbbell has the other one a quarter of v further.
    away, _ = tree.query(bright + v / 4)
    first = bright[away < NEAR]
    origin = first[np.argmin(np.linalg.norm(first - np.array(image.shape) / 2, axis=1))]
    zone = np.array([[1, 1, 0], [1, -1, 0], [0, 0, 1]])
    quarter = np.array([0.0, 0.25])
    clicks = (np.round(origin), np.round(u), np.round(v))
    where = str(structure.resolve())
    return Scene("si", image, SI_SAMPLING, *clicks, quarter, where, zone, "", np.zeros(2))


def grey(path: Path) -> Array:
    """The first frame of an image."""
    data = np.asarray(read_image(path).data, dtype=float)
    return data if data.ndim == 2 else data.reshape(-1, *data.shape[-2:])[0]


def inner(points: Array, size: int = SIZE) -> Array:
    """Which points are far from the border."""
    return ((points[:, :2] > EDGE) & (points[:, :2] < size - EDGE)).all(axis=1)


def planted_row(answer: dict[str, Array]) -> dict[str, object]:
    """What was measured against what was planted."""
    table = truth()
    places = table[["y", "x"]].to_numpy()
    row: dict[str, object] = {}
    found = answer["columns"]
    if len(found):
        inside = inner(places)
        away, near = cKDTree(found).query(places[inside])
        row["found"] = f"{int((away < NEAR).sum())} of {int(inside.sum())}"
        false = cKDTree(places).query(found[inner(found)])[0] > NEAR
        row["false"] = int(false.sum())
        good = away < NEAR
        off = found[near[good]] - places[inside][good]
        row["position error, pm"] = PM * SAMPLING * float(np.sqrt(np.mean(off**2)))
    known = true_shifts(table)
    moved = answer["moved"][inner(answer["moved"])]
    if len(moved):
        away, near = cKDTree(known[:, :2]).query(moved[:, :2])
        off = (moved[:, 2:] - known[near, 2:])[away < 2 * NEAR]
        row["displacement, pm"] = PM * SAMPLING * float(np.mean(moved[:, 2]))
        row["its error, pm"] = PM * SAMPLING * float(np.sqrt(np.mean(off**2)))
    strained = answer["strain"][inner(answer["strain"])]
    if len(strained):
        true = STRAIN * step(strained[:, 1])
        row["strain error, %"] = 100 * float(np.sqrt(np.mean((strained[:, 2] - true) ** 2)))
    return row


def recorded_row(scene: Scene, answer: dict[str, Array], ours: Array) -> dict[str, object]:
    """What was measured, and displacements against ours."""
    row: dict[str, object] = {"found": str(len(answer["columns"]) or "")}
    moved, pm = answer["moved"], PM * scene.sampling
    if not len(moved):
        return row
    if scene.dumbbells:
        length = pm * np.hypot(*moved[:, 2:].T)
        row["dumbbell, pm"] = f"{np.median(length):.0f} ± {spread(length):.0f}"
        row["dumbbell / b"] = float(np.median(length) / (pm * answer["b"]))
        return row
    away, near = cKDTree(ours[:, :2]).query(moved[:, :2])
    good = away < 2 * NEAR
    off = pm * (moved[good, 2:] - ours[near[good], 2:])
    row["displaced"] = str(len(moved))
    row["median dy, pm"] = pm * float(np.median(moved[:, 2]))
    row["spread dy, pm"] = spread(pm * moved[:, 2])
    row["from ours, pm"] = spread(off.ravel())
    return row


def spread(values: Array) -> float:
    """Standard deviation by the median, which a few wrong ones do not widen."""
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))


def arguments(parser: argparse.ArgumentParser) -> None:
    """Where, which peers, and the recorded images."""
    shared.folder(parser, "keeps scenes and answers; what is there is not measured again")
    parser.add_argument("--peers", nargs="*", default=[], help="NAME=PYTHON of its environment")
    parser.add_argument("--pto", type=Path, help="the TEMUL toolkit's PbTiO3/SrRuO3")
    parser.add_argument("--si", type=Path, help="AtomSegNet's Si [110]")


def run(options: argparse.Namespace) -> None:
    """Write the scenes, have them measured, and print a table each."""
    folder = options.folder
    folder.mkdir(parents=True, exist_ok=True)
    scenes = [planted_scene(folder)]
    if options.pto:
        sampling = float(np.mean(read_image(options.pto).sampling))
        scenes.append(perovskite("pto", grey(options.pto), sampling, folder, ("Pb", "Ti")))
    if options.si:
        scenes.append(silicon(options.si, folder))
    for scene in scenes:
        scene.save(folder / f"{scene.name}.npz")
    peer.run(argparse.Namespace(peer=OURS, folder=folder))
    names = [OURS]
    for each in options.peers:
        name, _, python = each.partition("=")
        elsewhere(Path(python), "measurements", "peer", name, str(folder.resolve()))
        names.append(name)
    for scene in scenes:
        rows = []
        for name in names:
            path = folder / name / f"{scene.name}.npz"
            if not path.exists():
                rows.append({"": name, "found": "fails"})
                continue
            answer = dict(np.load(path))
            ours = np.load(folder / OURS / path.name)["moved"]
            values = (
                planted_row(answer)
                if scene.name == "planted"
                else recorded_row(scene, answer, ours)
            )
            sides = {side: float(scene.sampling * answer[side]) for side in "ab"}
            cost = {"CPU s": float(answer["seconds"]), "lines": str(int(answer["lines"]))}
            rows.append({"": name, **sides, **values, **cost})
        tables.show(pd.DataFrame(rows), scene.name)
