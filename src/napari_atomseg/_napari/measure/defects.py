"""Dislocations, grains, rings and vacancies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from napari_atomseg._napari.measure.lattice import known
from napari_atomseg._napari.measure.task import (
    NO_SAMPLING,
    Drawing,
    Outcome,
    Task,
    number,
    plural,
    rows,
)
from napari_atomseg.progress import CancelToken, Progress, report

RING_COLOURS = {
    3: "#5e3c99",
    4: "#8073ac",
    5: "#3fa7ff",
    6: "#808080",
    7: "#ffa23f",
    8: "#ff4040",
}
"""Of rings by size: blue below six, warm above."""
LARGE = "#ff40ff"
"""Of rings larger than these."""
MOST_RINGS = 4000
"""More polygons make napari slow."""
_SYMBOL = 0.9
"""Distances of neighbours that a symbol is large."""


def dislocations(task: Task, progress: Progress, cancel: CancelToken) -> Outcome:
    """Find cores and Burgers vectors."""
    from napari_atomseg.analysis import find_dislocations

    report(progress, cancel, 0, 1, "Walking around the columns")
    found = find_dislocations(task.columns, task.sampling)
    pixels = task.sampling is None
    lines = [NO_SAMPLING] if pixels else []
    lines.append(plural(len(found), "dislocation"))
    for row in rows(found):
        length = np.hypot(row.burgers_y, row.burgers_x) if pixels else row.burgers_angstrom
        lines.append(
            f"b = [{row.burgers_a} {row.burgers_b}], {length:.3g} {task.unit}\n"
            f"   core at y {row.y:.1f}, x {row.x:.1f} px"
        )
    if len(found):
        lines += ["", "[a b] of the primitive cell; the line runs into the image (FS/RH)."]
    places, burgers = found[["y", "x"]].to_numpy(), found[["burgers_y", "burgers_x"]].to_numpy()
    vectors = Drawing(
        "vectors",
        "Burgers vectors",
        np.stack([places, burgers], axis=1),
        {
            "length": 2.0,
            "edge_color": "#ffff00",
            "edge_width": 0.2 * task.spacing,
            "vector_style": "arrow",
            "opacity": 1.0,
        },
        found,
    )
    cores = _symbols("dislocations", places, "cross", "#ff4040", found, task)
    drawings = (cores, vectors) if len(found) else ()
    return Outcome(tuple(lines), drawings=drawings, tables={"Dislocations": found})


def grains(task: Task, progress: Progress, cancel: CancelToken) -> Outcome:
    """Find grains by the orientation of the lattice around each column."""
    from napari_atomseg.analysis import find_grains

    settings = task.settings
    report(progress, cancel, 0, 1, "Measuring orientations")
    found = find_grains(
        task.columns,
        task.sampling,
        fold=settings.fold or None,
        tolerance_deg=settings.tolerance,
        smallest=settings.smallest,
    )
    lines = [NO_SAMPLING] if task.sampling is None else []
    lines.append(f"{plural(len(found.grains), 'grain')}, {found.fold}-fold symmetry")
    for row in rows(found.grains):
        angle = number(row.orientation_deg, row.orientation_deg_err, "°")
        lines.append(f"{row.grain}: {plural(row.columns, 'column')} at {angle}")
    for row in rows(found.boundaries):
        turn = number(row.misorientation_deg, row.misorientation_deg_err, "°")
        lines.append(f"boundary {row.grain} | {row.other}: {turn}, {row.length:.3g} {task.unit}")
    if not len(found.grains):
        lines += ["Allow smaller grains, or use columns of one sublattice."]
    features = found.columns[["orientation_deg", "order", "grain", "boundary"]]
    drawings: tuple[Drawing, ...] = ()
    if len(found.boundaries):
        turn = np.radians(found.boundaries["direction_deg"].to_numpy())
        half = 0.5 * found.boundaries["length"].to_numpy()[:, None]
        along = half * np.stack([-np.sin(turn), np.cos(turn)], axis=1) / task.pixel
        middle = found.boundaries[["y", "x"]].to_numpy()
        looks = {"shape_type": "line", "edge_color": "white", "edge_width": 0.2 * task.spacing}
        ends = np.stack([middle - along, middle + along], axis=1)
        looks["opacity"] = 1.0
        drawings = (Drawing("shapes", "grain boundaries", ends, looks, found.boundaries),)
    colour = "grain" if len(found.grains) > 1 else "orientation_deg"
    tables = {"Grains": found.grains, "Boundaries": found.boundaries}
    return Outcome(tuple(lines), features, colour, drawings, tables)


def rings(task: Task, progress: Progress, cancel: CancelToken) -> Outcome:
    """Find rings of bonded atoms and their defects, or the vacancies of any crystal."""
    if task.settings.network == "vacancies":
        table, lattice = known(task, progress, cancel)
        return _vacancies(task, table, lattice)
    from napari_atomseg.analysis import find_rings

    report(progress, cancel, 0, 2, "Following the bonds")
    found = find_rings(task.columns, task.sampling)
    if not len(found.table):
        raise ValueError("the columns form no rings: choose vacancies only, or more columns")
    report(progress, cancel, 1, 2, "Drawing the rings")
    sizes = found.table["size"].value_counts().sort_index()
    lines = [NO_SAMPLING] if task.sampling is None else []
    lines.append(f"{plural(len(found.table), 'ring')}")
    lines += [f"{count} of {size} atoms" for size, count in sizes.items()]
    lines += [_defect_line(row) for row in rows(found.defects)]
    vacant = found.defects["name"].str.contains("acancy")
    missing = found.defects[vacant]
    drawings: list[Drawing] = []
    if len(found.members) <= MOST_RINGS:
        points = task.columns[["y", "x"]].to_numpy()
        colours = [RING_COLOURS.get(len(ring), LARGE) for ring in found.members]
        looks: dict[str, Any] = {
            "shape_type": "polygon",
            "face_color": colours,
            "edge_color": "white",
            "edge_width": 0.06 * task.spacing,
            "opacity": 0.5,
        }
        polygons = [points[ring] for ring in found.members]
        drawings.append(Drawing("shapes", "rings", polygons, looks, found.table))
    else:
        lines.append(f"{len(found.members)} rings are too many to draw.")
    if len(missing):
        places = missing[["y", "x"]].to_numpy()
        drawings.append(_symbols("vacancies", places, "cross", "#ff4040", missing, task))
    features = pd.DataFrame({"coordination": found.coordination})
    tables = {"Rings": found.table, "Defects": found.defects}
    legend = {str(size): RING_COLOURS.get(size, LARGE) for size in sorted(sizes.index)}
    return Outcome(
        tuple(lines),
        features,
        drawings=tuple(drawings),
        tables=tables,
        colours=legend if len(found.members) <= MOST_RINGS else {},
        coloured="atoms of a ring",
    )


def _vacancies(task: Task, table: pd.DataFrame, lattice: Any) -> Outcome:
    from napari_atomseg.analysis import find_vacancies

    found = find_vacancies(table, task.sampling, lattice)
    lines = [NO_SAMPLING] if task.sampling is None else []
    of = len(table) + len(found)
    share = f" ({100 * len(found) / of:.2g} % of the sites)" if len(found) else ""
    lines.append(f"{plural(len(found), 'vacancy')}{share}")
    lines += [f"at y {row.y:.1f}, x {row.x:.1f} px" for row in rows(found.head(20))]
    places = found[["y", "x"]].to_numpy()
    drawing = _symbols("vacancies", places, "cross", "#ff4040", found, task)
    drawings = (drawing,) if len(found) else ()
    return Outcome(tuple(lines), drawings=drawings, tables={"Vacancies": found})


def _defect_line(row: Any) -> str:
    missing = "" if pd.isna(row.missing) else f", {plural(int(row.missing), 'atom')} missing"
    name = row.name if row.name != row.sizes else f"rings of {row.sizes}"
    return f"{name}{missing}\n   at y {row.y:.1f}, x {row.x:.1f} px"


def _symbols(
    name: str, places: Any, symbol: str, colour: str, features: pd.DataFrame, task: Task
) -> Drawing:
    looks = {
        "symbol": symbol,
        "size": _SYMBOL * task.spacing,
        "face_color": colour,
        "border_color": "white",
        "border_width": 0.05,
    }
    return Drawing("points", name, places, looks, features)
