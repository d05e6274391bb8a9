"""How fast a recipe is simulated: images a second, milliseconds by stage, growth with size.

    python -m benchmarks speed simulation [--recipe temimagenet] [--workers 2] [--seconds 20]

Images a second of wall time, of all workers together, and of CPU time, of one core; stages in CPU
time, which other work on the machine distorts less. `PYTHONPATH=../other/src` measures another
checkout. The peer's figure is the paper's own: some 14,000 images of 256² in ten minutes on a
laptop, 24 a second (Lin et al. 2021).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import pandas as pd
import torch

from benchmarks import tables
from napari_atomseg import simulate
from napari_atomseg.imaging import form_image
from napari_atomseg.simulation import SimulationRecipe, draw_scene, load_recipe, render
from napari_atomseg.simulation.background import background_image
from napari_atomseg.simulation.scene import Scene
from napari_atomseg.simulation.targets import label_targets, upsampled

PAPER = 24.0
"""Images a second, Lin et al. 2021."""


def work(
    recipe: SimulationRecipe, device: str, seconds: float, first: int
) -> tuple[int, float, float]:
    """Simulate for some seconds; return how many images were made, and wall and CPU seconds."""
    torch.set_num_threads(1)
    batch = 8 if device == "cpu" else 256
    render([draw_scene(recipe, 1, first + i) for i in range(batch)], device)
    start, busy, made = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - start < seconds:
        render([draw_scene(recipe, 0, first + made + i) for i in range(batch)], device)
        if device != "cpu":
            torch.cuda.synchronize()
        made += batch
    return made, time.perf_counter() - start, time.process_time() - busy


def throughput(
    recipe: SimulationRecipe, workers: int, device: str, seconds: float
) -> tuple[float, float]:
    """Images a second of all workers together, and a second of CPU time."""
    with ProcessPoolExecutor(workers) as pool:
        runs = pool.map(partial(work, recipe, device, seconds), range(0, workers << 20, 1 << 20))
        made, wall, busy = (list(each) for each in zip(*runs, strict=True))
    together = sum(m / w for m, w in zip(made, wall, strict=True))
    return together, sum(made) / sum(busy)


def milliseconds(job: Callable[[Scene], object], scenes: list[Scene]) -> float:
    """Mean CPU time of a job over scenes."""
    job(scenes[0])
    start = time.process_time()
    for scene in scenes:
        job(scene)
    return 1e3 * (time.process_time() - start) / len(scenes)


def stages(recipe: SimulationRecipe, count: int = 64) -> dict[str, float]:
    """CPU milliseconds an image by stage, one thread."""
    torch.set_num_threads(1)
    for i in range(4 * count):
        draw_scene(recipe, 1, i)  # crystals are projected once
    start = time.process_time()
    scenes = [draw_scene(recipe, 0, i) for i in range(count)]
    drawing = 1e3 * (time.process_time() - start) / count
    canvas = torch.rand(1, *scenes[0].view.canvas)

    def background(scene: Scene) -> object:
        if scene.background is None:
            return None
        generator = torch.Generator().manual_seed(0)
        width = scene.optics.width
        return background_image(scene.background, scene.specimen, scene.view, width, generator)

    ideals = {scene.seed: render([scene]).ideal for scene in scenes}

    def distort(scene: Scene) -> None:
        image, generators = ideals[scene.seed], [torch.Generator().manual_seed(0)]
        for drawn in scene.distortions:
            if not drawn.distortion.shared:
                values = {k: torch.as_tensor(v).float()[None] for k, v in drawn.values.items()}
                image = drawn.distortion.apply(image, values, generators)

    return {
        "draw the scene": drawing,
        "form the image": milliseconds(
            lambda s: form_image([s.optics], [s.specimen.scatterers], [s.view]), scenes
        ),
        "background": milliseconds(background, scenes),
        "distortions": milliseconds(distort, scenes),
        "masks, maps, super-resolution": milliseconds(lambda s: label_targets([s], "cpu"), scenes),
        "two up-interpolations": 2
        * milliseconds(lambda s: upsampled(canvas, s.view.margin), scenes),
        "all of it": drawing + milliseconds(lambda s: render([s]), scenes),
    }


def growth() -> pd.DataFrame:
    """Milliseconds of `simulate` against pixels and columns."""
    rows = []
    for shape, sampling in (
        (256, 0.1),
        (512, 0.1),
        (1024, 0.1),
        (2048, 0.1),
        (1024, 0.2),
        (1024, 0.4),
    ):
        arguments = {"shape": (shape, shape), "sampling": sampling, "imaging": "linear"}
        simulate("SrTiO3", **arguments)
        start = time.perf_counter()
        columns = simulate("SrTiO3", **arguments).columns
        taken = 1e3 * (time.perf_counter() - start)
        row = {"pixels": f"{shape}²", "sampling": f"{sampling} Å", "columns": len(columns)}
        rows.append({**row, "milliseconds": taken})
    return pd.DataFrame(rows)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Recipe, workers and device."""
    parser.add_argument("--recipe", default="temimagenet")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--brief", action="store_true", help="no stages, no growth")


def run(options: argparse.Namespace) -> None:
    """Print the tables."""
    recipe = load_recipe(options.recipe)
    rate, busy = throughput(recipe, options.workers, options.device, options.seconds)
    height, width = recipe.shape
    print(
        f"{recipe.name}, {height} × {width}, {len(recipe.targets.names)} image targets, "
        f"{options.workers} workers on {options.device}: {rate:.0f} images a second, "
        f"{busy:.1f} a second of CPU time (Lin et al. 2021: {PAPER:.0f} a second)"
    )
    if options.brief:
        return
    each = {"CPU milliseconds an image": stages(recipe)}
    tables.show(pd.DataFrame(each).rename_axis("stage").reset_index(), "One thread", 2)
    tables.show(growth(), "Growth with size, SrTiO3 [001]", 0)
