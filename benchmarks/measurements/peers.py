r"""Peers beside napari-atomseg in one run: columns, lattice, displacements, strain, cost.

    python -m benchmarks measurements peers FOLDER --pto pto_sro.hspy --si si110_adf_512.png \
        --peers atomap=atomap/bin/python ...

Each peer is installed into an environment of its own (`python -m venv atomap; atomap/bin/pip
install atomap==0.4.2`), and has a recipe in `recipes/`: a short script by its documentation. Names:
atomap, temul, singleorigin, kemstem, stemtool, quantem. Peers are told the spacing, and where
they ask for clicks the origin and cell to whole pixels, and the crystal; ours is told the sampling.
Threads are those of the environment: set OMP_NUM_THREADS=1 for seconds of one core.

One scene is planted: two sublattices of a square cell of 4 Å with counted electrons (150 and 60 in
the brightest pixels on 20), the second kind displaced by 12 pm along y, the right part strained by
1.5 % along x and sheared. `--pto` and `--si` are the multilayer of the TEMUL toolkit and
AtomSegNet's Si [110]. What is off is off from what was planted (root mean square), or from ours
(1.4826 times the median of absolute deviations) where no truth is known.
"""

from __future__ import annotations

import argparse
import datetime as dt
from collections.abc import Callable
from functools import partial
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
from benchmarks.peers.environments import processor
from benchmarks.runner import elsewhere
from napari_atomseg.io import read_image

OURS = "ours"
PLANTED = "planted"
DOES_NOT = "does not"
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
ASKED = ("columns", "displacement, pm", "strain, %")
COLUMNS = (
    *("columns", "false", "columns off, pm", "a, Å", "b, Å"),
    *("displacement, pm", "displacement off, pm", "strain, %", "strain off, %", "CPU s", "lines"),
)


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
    return perovskite(PLANTED, image.astype(float), SAMPLING, folder, ("Ba", "Ti"), table)


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
    rest = np.array(REST if name == PLANTED else (0.0, image.shape[1]))
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


def multilayer(path: Path, folder: Path) -> Scene:
    """PbTiO3 between SrRuO3, told as one crystal."""
    sampling = float(np.mean(read_image(path).sampling))
    return perovskite("pto", grey(path), sampling, folder, ("Pb", "Ti"))


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
    rest = np.array([0.0, image.shape[1]])
    return Scene("si", image, SI_SAMPLING, *clicks, quarter, where, zone, "", rest)


def grey(path: Path) -> Array:
    """The first frame of an image."""
    data = np.asarray(read_image(path).data, dtype=float)
    return data if data.ndim == 2 else data.reshape(-1, *data.shape[-2:])[0]


def kept(folder: Path, name: str, make: Callable[[], Scene]) -> Scene:
    """The scene of the folder, which is made first where there is none."""
    path = folder / f"{name}.npz"
    if not path.exists():
        make().save(path)
    return Scene.load(path)


def inner(points: Array, shape: tuple[int, ...]) -> Array:
    """Which points are far from the border."""
    return ((points[:, :2] > EDGE) & (points[:, :2] < np.array(shape[:2]) - EDGE)).all(axis=1)


def planted_answer() -> dict[str, Array]:
    """The answer without an error."""
    table = truth()
    places = table[["y", "x"]].to_numpy()
    strain = np.column_stack([places, STRAIN * step(places[:, 1])])
    return {"columns": places, "moved": true_shifts(table), "strain": strain}


def row(
    scene: Scene, answer: dict[str, Array], known: dict[str, Array] | None
) -> dict[str, object]:
    """What was measured, and how far it is off from what is known: planted, or measured by ours."""
    pm = PM * scene.sampling
    cells: dict[str, object] = dict.fromkeys(COLUMNS, "") | dict.fromkeys(ASKED, DOES_NOT)
    columns, moved, strain = (answer[name] for name in ("columns", "moved", "strain"))
    if len(columns):
        cells["columns"] = str(len(columns))
    if len(moved):
        size = np.hypot(*moved[:, 2:].T) if scene.dumbbells else moved[:, 2]
        cells["displacement, pm"] = middle(pm * size, 1)
    if len(strain):
        exact = scene.name == PLANTED
        part = strain[strain[:, 1] > 0.5 * SIZE + 4 * STEP] if exact else strain
        cells["strain, %"] = middle(100 * part[inner(part, scene.image.shape), 2], 2)
    lengths = {side: float(scene.sampling * answer[side]) for side in "ab"}
    sides = {
        f"{side}, Å": DOES_NOT if np.isnan(length) else f"{length:.3f}"
        for side, length in lengths.items()
    }
    cost = {"CPU s": f"{float(answer['seconds']):.1f}", "lines": str(int(answer["lines"]))}
    return cells | sides | cost | (deviations(scene, answer, known) if known else {})


def deviations(
    scene: Scene, answer: dict[str, Array], known: dict[str, Array]
) -> dict[str, object]:
    """What is off, far from the border, and how many of the planted columns are found."""
    exact = scene.name == PLANTED
    width = root_mean_square if exact else spread
    pm = PM * scene.sampling
    cells: dict[str, object] = {}
    found, moved, strain = (
        answer[name][inner(answer[name], scene.image.shape)]
        for name in ("columns", "moved", "strain")
    )
    if len(found):
        places = known["columns"][inner(known["columns"], scene.image.shape)]
        away, near = cKDTree(answer["columns"]).query(places)
        good = away < NEAR
        off = answer["columns"][near[good]] - places[good]
        cells["columns off, pm"] = f"{pm * width(off.ravel()):.2f}"
        if exact:
            cells["columns"] = f"{int(good.sum())} of {len(places)}"
            cells["false"] = str(int((cKDTree(known["columns"]).query(found)[0] > NEAR).sum()))
    if len(moved):
        away, near = cKDTree(known["moved"][:, :2]).query(moved[:, :2])
        off = (moved[:, 2:] - known["moved"][near, 2:])[away < 2 * NEAR]
        cells["displacement off, pm"] = f"{pm * width(off.ravel()):.2f}"
    if len(strain):
        away, near = cKDTree(known["strain"][:, :2]).query(strain[:, :2])
        true = STRAIN * step(strain[:, 1]) if exact else known["strain"][near, 2]
        close = away < np.linalg.norm(scene.v)
        cells["strain off, %"] = f"{100 * width((strain[:, 2] - true)[close]):.3f}"
    return cells


def middle(values: Array, digits: int) -> str:
    """Median and spread."""
    return f"{np.median(values):.{digits}f} ± {spread(values):.{digits}f}"


def spread(values: Array) -> float:
    """Standard deviation by the median, which a few wrong ones do not widen."""
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))


def root_mean_square(values: Array) -> float:
    """Not about the mean: what all share is off, too."""
    return float(np.sqrt(np.mean(values**2)))


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
    scenes = [kept(folder, PLANTED, partial(planted_scene, folder))]
    if options.pto:
        scenes.append(kept(folder, "pto", partial(multilayer, options.pto, folder)))
    if options.si:
        scenes.append(kept(folder, "si", partial(silicon, options.si, folder)))
    peer.run(argparse.Namespace(peer=OURS, folder=folder))
    names = [OURS]
    for each in options.peers:
        name, _, python = each.partition("=")
        elsewhere(Path(python), "measurements", "peer", name, str(folder.resolve()))
        names.append(name)
    rows, about = [], {}
    for scene in scenes:
        ours = dict(np.load(folder / OURS / f"{scene.name}.npz"))
        for name in names:
            path = folder / name / f"{scene.name}.npz"
            title = {"image": scene.name, "package": name}
            if not path.exists():
                failure = path.with_suffix(".error").read_text(encoding="utf-8")
                rows.append(title | dict.fromkeys(COLUMNS, "") | {"columns": f"fails: {failure}"})
                continue
            answer = dict(np.load(path))
            known = ours if name != OURS else None
            known = planted_answer() if scene.name == PLANTED else known
            rows.append(title | row(scene, answer, known))
            about[name] = {
                "package": name,
                "version": str(answer["version"]),
                "Python": str(answer["python"]),
                # Ours are those of this process, which has imported it already.
                "imports, CPU s": "" if name == OURS else f"{float(answer['loading']):.1f}",
                "repaired": str(answer["repaired"]),
            }
    tables.show(pd.DataFrame(rows))
    tables.show(pd.DataFrame(about.values()), f"{dt.date.today():%d %B %Y}, {processor()}")
