"""Steps a second of a training with each network, and the share that preparing images takes.

    python -m benchmarks speed training [--networks unet cgrdn_small] [--device cuda] [--workers 2]

Every line trains the five tasks by the recipe's simulator, as `train` does. "images" is the part of
a step's time in which the network waits for them: with workers, other processes prepare them.
"""

from __future__ import annotations

import argparse
import time

from benchmarks import options as shared
from benchmarks import tables
from napari_atomseg import networks
from napari_atomseg._shared.device import choose_device
from napari_atomseg.training import TrainingRecipe
from napari_atomseg.training.data import ExampleMaker, batches
from napari_atomseg.training.engine import Alone
from napari_atomseg.training.loop import new_state
from napari_atomseg.training.step import Stepper


def measure(name: str, options: argparse.Namespace) -> tuple[float, float]:
    """Steps a second, and the share of their time in which images are waited for."""
    recipe = TrainingRecipe.model_validate(
        {
            "network": {"name": name},
            "batch": options.batch,
            "crop": options.crop,
            "workers": options.workers,
            "simulation": options.simulation,
        }
    )
    device = choose_device(options.device)
    source = recipe.pairs.open(recipe.seed, recipe.targets)
    state = new_state(recipe, source.species, device)
    stepper = Stepper(state, recipe, Alone(device))
    waited = stepped = 0.0
    with batches(ExampleMaker(recipe, source), device) as prepared:
        for number in range(options.warm_up + options.steps):
            start = time.perf_counter()
            batch = next(prepared)
            middle = time.perf_counter()
            stepper.step(batch)
            state.step += 1
            if number >= options.warm_up:
                waited += middle - start
                stepped += time.perf_counter() - middle
    return options.steps / (waited + stepped), waited / (waited + stepped)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Networks, device and batches."""
    parser.add_argument("--networks", nargs="+", default=networks.names())
    parser.add_argument("--device", default="auto")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--crop", type=int, default=128)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--simulation", default="columns", help="simulation recipe")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--warm-up", type=int, default=2)
    shared.threads(parser, 0)


def run(options: argparse.Namespace) -> None:
    """Print a line a network."""
    tables.begin(["network", "steps/s", "images"])
    for name in options.networks:
        rate, share = measure(name, options)
        tables.line([name, f"{rate:.3f}", f"{share:.0%}"])
