"""r_em's three studies (Lobato et al. 2023, Figs. 3 to 5): fits on raw and on restored images.

    python benchmarks/studies.py FOLDER
    python benchmarks/studies.py FOLDER --studies bulk particle --models stem-hr my.safetensors

1. bulk: Pt [001] of 2 to 75 atoms a column by multislice, with shot noise alone.
2. dislocation: Pt [112] with an edge dislocation of b = ½[110]; lines of the scan are moved and
   blurred, then electrons are counted.
3. particle: a ball of Pt 11 atoms across, scanned in the same way; its atoms are counted.

Prints tables in Markdown, and with `--pictures` draws `study-NAME.png` there. FOLDER keeps the
multislice result (some minutes of one core, once). Every method sees the same images; the Gaussian
fits start near the true columns, as in the paper. Errors of positions are of y and x together.
"""

from __future__ import annotations

import argparse
import time
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from studies_figures import draw_bulk, draw_dislocation, draw_particle
from studies_images import (
    SAMPLING,
    Array,
    bulk,
    dislocation,
    dislocation_core,
    dislocation_steps,
    particle,
    sections,
    uniform_crystal,
)
from studies_measure import (
    Errors,
    Method,
    circuit,
    fitted,
    found_columns,
    measured,
    volume,
)
from studies_multislice import PERIOD, cell_series
from studies_tables import print_markdown, print_summary

import napari_atomseg as atomseg

STUDIES = ("bulk", "dislocation", "particle")
THICKNESSES = (2, 3, 5, 8, 12, 18, 27, 40, 55, 75)
"""Atoms a column of the first study."""
RINGS = (0.0, 3.0, 6.0, 12.0)
"""Å from the core, between which errors are averaged."""
REACH = (5, 3)
"""Steps from the core to the sides of a Burgers circuit, along b and across the glide plane."""
STEP = 0.6
"""Å within which a circuit's next column must be."""
KEPT = 0.5
"""Å within which the closure of a circuit must be the Burgers vector."""
SEED = 990_103


def methods(models: list[str]) -> dict[str, Method]:
    """What is compared, by name."""
    restored = {
        Path(model).stem: partial(atomseg.restore, model=model, sampling=SAMPLING)
        for model in models
    }
    return {"raw": lambda image: image, **restored}


def study_bulk(
    cell: Array, compared: dict[str, Method], doses: list[float], repeats: int, path: Path | None
) -> None:
    """Precision against thickness."""
    rows, shown = [], []
    for atoms in THICKNESSES:
        sample = bulk(cell, atoms, np.random.default_rng((SEED, 1, atoms)))
        inner = sample.inner(0.7 * PERIOD)
        for dose in doses:
            errors, images = measured(
                sample, dose, compared, repeats, (SEED, 1, atoms, int(dose)), scanned=False
            )
            for name, each in errors.items():
                row = {"dose": dose, "atoms": atoms, "method": name}
                rows.append({**row, **each.select(inner).summary()})
            if (atoms, dose) in ((THICKNESSES[0], min(doses)), (THICKNESSES[-1], max(doses))):
                shown.append((atoms, dose, {name: image[0] for name, image in images.items()}))
    table = pd.DataFrame(rows)
    print("\n### Pt [001], medians over the thicknesses\n")
    numbers = table.groupby(["dose", "method"], sort=False).median(numeric_only=True)
    print_summary(numbers.reset_index().drop(columns="atoms"))
    for name, title, digits in (
        ("precision", "Precision of positions, pm", 1),
        ("bias", "Bias of positions, pm", 1),
        ("section precision", "Precision of cross-sections, %", 1),
        ("section bias", "Bias of cross-sections, %", 1),
    ):
        print(f"\n### {title}, by atoms a column\n")
        wide = table.pivot_table(
            index=["dose", "method"], columns="atoms", values=name, sort=False
        ).reset_index()
        bound = {"precision": "bound", "section precision": "section bound"}.get(name)
        if bound:
            raw = table[table["method"] == "raw"].assign(method="Cramér–Rao bound")
            least = raw.pivot_table(index=["dose", "method"], columns="atoms", values=bound)
            wide = pd.concat([wide, least.reset_index()]).sort_values("dose", kind="stable")
        print_markdown(wide, digits)
    if path:
        draw_bulk(path, table, shown)


def study_dislocation(
    section: Array, compared: dict[str, Method], doses: list[float], repeats: int, path: Path | None
) -> None:
    """Errors against the distance to the core, and the Burgers vector."""
    sample = dislocation(section)
    steps, core = dislocation_steps(), dislocation_core()
    inner = sample.inner(1.5)
    away = np.hypot(SAMPLING * sample.y - core[0], SAMPLING * sample.x - core[1])
    summaries, rings, shown = [], [], []
    for dose in doses:
        errors, images = measured(
            sample, dose, compared, repeats, (SEED, 2, int(dose)), scanned=True
        )
        paths = {}
        for name, each in errors.items():
            steady = masked(each, inner).steadied()
            row = {"dose": dose, "method": name}
            walks = [
                circuit(found_columns(image, np.hypot(*steps[0])), core, steps, REACH, STEP)
                for image in images[name]
            ]
            summaries.append({**row, **steady.select(inner).summary(), **closure(walks, steps)})
            paths[name] = next((walk for walk in walks if walk is not None), None)
            for low, high in pairwise(RINGS):
                ring = steady.select(inner & (away >= low) & (away < high)).summary()
                rings.append(
                    {**row, "Å": f"{low:g}-{high:g}", "middle": 0.5 * (low + high), **ring}
                )
        first = {name: image[0] for name, image in images.items()}
        placed = {name: masked(each, inner).steadied().place[0] for name, each in errors.items()}
        shown.append((dose, first, placed, paths))
    print("\n### Pt [112] with an edge dislocation\n")
    table = pd.DataFrame(summaries)
    print_summary(table)
    true = circuit(SAMPLING * np.stack([sample.y, sample.x], axis=1), core, steps, REACH, STEP)
    here = closure([true], steps)["b, Å"]
    print(f"\nBurgers circuits: b is {2 * np.hypot(*steps[0]):.3f} Å long, ", end="")
    print(f"and {here:.3f} Å in the strained crystal where this circuit ends\n")
    print_markdown(table[["dose", "method", "circuits closed by b, %", "b, Å", "deviation, Å"]], 2)
    print("\n### RMSE of positions by the distance to the core, pm\n")
    wide = pd.DataFrame(rings).pivot_table(
        index=["dose", "method"], columns="Å", values="rmse", sort=False
    )
    print_markdown(wide.add_suffix(" Å").reset_index(), 1)
    if path:
        draw_dislocation(path, sample, shown, pd.DataFrame(rings))


def masked(errors: Errors, keep: NDArray[np.bool_]) -> Errors:
    """Without the places of the columns that are not kept."""
    place = np.where(keep[None, :, None], errors.place, np.nan)
    return Errors(place, errors.volume, errors.place_bound, errors.volume_bound)


def closure(walks: list[Array | None], steps: tuple[Array, Array]) -> dict[str, float]:
    """How many circuits are closed by b or -b, and the length of what closes those."""
    burgers = 2.0 * steps[0]
    gaps = [walk[-1] - walk[0] for walk in walks if walk is not None]
    right = [
        float(np.hypot(*gap))
        for gap in gaps
        if min(np.hypot(*(gap - burgers)), np.hypot(*(gap + burgers))) < KEPT
    ]
    several = len(right) > 1
    return {
        "circuits closed by b, %": 100.0 * len(right) / len(walks),
        "b, Å": float(np.mean(right)) if right else float("nan"),
        "deviation, Å": float(np.std(right, ddof=1)) if several else float("nan"),
    }


def study_particle(
    section: Array, compared: dict[str, Method], doses: list[float], repeats: int, path: Path | None
) -> None:
    """Atoms of each column counted from its cross-section."""
    sample = particle(section)
    library = section * seen_share(section)
    summaries, counted = [], {}
    ideal = volume(fitted(sample.image, sample.y, sample.x)) * SAMPLING**2
    for dose in doses:
        errors, _ = measured(sample, dose, compared, repeats, (SEED, 3, int(dose)), scanned=True)
        for name, each in errors.items():
            count = nearest(library, each.volume * ideal)
            off = np.where(np.isfinite(each.volume), count - sample.atoms, np.nan)
            counted[dose, name] = off
            summaries.append(
                {"dose": dose, "method": name, **each.steadied().summary(), **counts(off)}
            )
    perfect = counts((nearest(library, ideal) - sample.atoms)[None].astype(float))
    table = pd.DataFrame(summaries)
    print(f"\n### The particle: {len(sample.y)} columns of 1 to {sample.atoms.max()} atoms\n")
    print_summary(table)
    print("\n### Atoms counted\n")
    none = {"dose": np.inf, "method": "without noise", **perfect}
    columns = ["dose", "method", *perfect]
    print_markdown(pd.concat([table, pd.DataFrame([none])])[columns], 2)
    if path:
        draw_particle(path, sample, counted)


def seen_share(section: Array) -> float:
    """What a fit sees of the cross-section of a column in a crystal without noise."""
    sample = uniform_crystal(section, 1)
    fits = fitted(sample.image, sample.y, sample.x)
    return float(np.median(volume(fits)[sample.inner(PERIOD)]) * SAMPLING**2 / section[0])


def nearest(library: Array, section: Array) -> NDArray[np.int64]:
    """Number of atoms whose cross-section in the library is nearest; 1 where there is none."""
    return np.asarray(
        np.abs(np.nan_to_num(section)[..., None] - library).argmin(axis=-1) + 1, np.int64
    )


def counts(off: Array) -> dict[str, float]:
    """Share of columns counted right, and to one atom; those without a fit are neither."""
    return {
        "right, %": 100.0 * float(np.mean(off == 0)),
        "within 1, %": 100.0 * float(np.mean(np.abs(off) <= 1)),
        "mean error": float(np.nanmean(off)),
        "rms error": float(np.sqrt(np.nanmean(off**2))),
    }


def main() -> None:
    """Print the tables of the studies."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--studies", nargs="+", choices=STUDIES, default=STUDIES)
    parser.add_argument("--models", nargs="*", default=["stem-hr"])
    parser.add_argument("--doses", type=float, nargs="+", default=[500.0, 50_000.0])
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--pictures", type=Path, help="draw into this folder")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cell_images = cell_series(options.folder)
    compared = methods(options.models)
    section = sections(cell_images)
    run = {
        "bulk": partial(study_bulk, cell_images),
        "dislocation": partial(study_dislocation, section),
        "particle": partial(study_particle, section),
    }
    for name in options.studies:
        start = time.process_time()
        path = options.pictures and options.pictures / f"study-{name}.png"
        run[name](compared, options.doses, options.repeats, path)
        print(f"\n{name}: {time.process_time() - start:.0f} CPU seconds", flush=True)


if __name__ == "__main__":
    main()
