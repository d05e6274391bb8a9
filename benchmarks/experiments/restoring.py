"""What helps a restoration model most in the same time on one core.

    python -m benchmarks experiments restoring FOLDER [--minutes 6] [--only "as it is" "wider"]

Variants of one recipe are trained for the same CPU time, the first group from the published
weights, the second from nothing; the rate is constant for half of it and then falls to zero. Scores
are the PSNR in dB of the moving average of the weights on the recipe's validation images and, where
`--images` names the folder of `restoration images`, on multislice images at each dose, as `napari-
atomseg restore` makes them. A step's time, what of it is spent on images, and what the core
computes in it stand beside. What has been trained lies in FOLDER and is not trained again.

Two variants learn from a teacher: the target is the mean of the truth and what the teacher makes of
the image. One is the network itself as it was, meant over the mirror images that keep the scan's
direction; the other is r_em's network, on images of r_em's kind, each labelled once and then
cropped anew in every step. Labelling takes minutes of its own, which are not counted.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import options as shared
from benchmarks import tables
from benchmarks.restoration.scores import Choice, results
from napari_atomseg import weights
from napari_atomseg.inference.ensemble import views
from napari_atomseg.networks.files import load_weights, save_weights
from napari_atomseg.networks.maps import compose, normalise
from napari_atomseg.training import TrainingRecipe, load_recipe
from napari_atomseg.training.cards import model_card
from napari_atomseg.training.data import ExampleMaker, batches
from napari_atomseg.training.engine import Alone
from napari_atomseg.training.loop import new_state
from napari_atomseg.training.sources import PairBatch, PairSource
from napari_atomseg.training.step import Stepper
from napari_atomseg.training.validation import Validation

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "recipes" / "restore-hr-stem.yaml"
PUBLISHED = ROOT / "models" / "restore-hr-stem.safetensors"
PEER = "r-em-hr-stem"
LABELLED, SIDE = 24, 160
"""Images that r_em labels, and the pixels of a side."""
Teacher = Callable[[Tensor], Tensor]
"""Makes (B, 1, H, W) restored images of images, in their own units."""


class Taught:
    """A source whose targets are half the truth and half what a teacher makes of the image."""

    def __init__(self, source: PairSource, teacher: Teacher) -> None:
        self._source, self._teacher = source, teacher
        self.targets, self.species = source.targets, source.species

    def samples(self, indices: Sequence[int], crop: int, device: str) -> PairBatch:
        """See `PairSource.samples`."""
        pairs = self._source.samples(indices, crop, device)
        made = self._teacher(pairs.image)
        targets = {name: (truth + made) / 2 for name, truth in pairs.targets.items()}
        return replace(pairs, targets=targets)

    def batch(self, first: int, count: int, crop: int, device: str) -> PairBatch:
        """See `PairSource.batch`."""
        return self.samples(range(first, first + count), crop, device)

    def validation(self, count: int, crop: int, device: str) -> PairBatch:
        """Those of the source, with the truth alone."""
        return self._source.validation(count, crop, device)


class Labelled(Taught):
    """A source of which every other sample is a crop of a few images that a slow teacher labelled.

    Parameters
    ----------
    source : gives the other samples.
    images : pairs with the teacher's targets, larger than the crops.
    seed : of the crops.
    """

    def __init__(self, source: PairSource, images: PairBatch, seed: int) -> None:
        super().__init__(source, lambda image: image)
        self._images, self._seed = images, seed

    def samples(self, indices: Sequence[int], crop: int, device: str) -> PairBatch:
        """See `PairSource.samples`."""
        pairs = self._source.samples(indices, crop, device)
        image = pairs.image.clone()
        targets = {name: truth.clone() for name, truth in pairs.targets.items()}
        for row, number in enumerate(indices):
            rng = np.random.default_rng((self._seed, number))
            if rng.random() < 0.5:
                which = int(rng.integers(len(self._images)))
                y, x = rng.integers(0, self._images.image.shape[-1] - crop + 1, 2)
                part = (which, slice(None), slice(y, y + crop), slice(x, x + crop))
                image[row] = self._images.image[part]
                for name, target in targets.items():
                    target[row] = self._images.targets[name][part]
        return replace(pairs, image=image, targets=targets)


@torch.inference_mode()
def restored(network: nn.Module, image: Tensor) -> Tensor:
    """What a network makes of images at their own pixels, in their own units."""
    scaled, mean, deviation = normalise(image)
    return compose(network(scaled), scaled, ("denoise",)) * deviation + mean


def mirrored(network: nn.Module, image: Tensor) -> Tensor:
    """The same, meant over the mirror images that keep the scan's direction."""
    every = [view.back(restored(network, view.of(image))) for view in views("STEM")]
    return torch.stack(every).mean(dim=0)


def of_itself(source: PairSource, recipe: TrainingRecipe, folder: Path) -> PairSource:
    """Taught by the published network and its mirror images."""
    network, _ = load_weights(PUBLISHED)
    return Taught(source, partial(mirrored, network.eval()))


def of_r_em(source: PairSource, recipe: TrainingRecipe, folder: Path) -> PairSource:
    """Half of the crops are of images that r_em's network has labelled; these stay in the folder.

    Raises
    ------
    ValueError
        r_em's network has not been imported.
    """
    path = folder / "labelled.npz"
    if not path.exists():
        network, _ = load_weights(weights.resolve(PEER))
        kind = recipe.model_copy(update={"source": None, "simulation": "hr-stem"})
        part = TrainingRecipe.model_validate(kind.model_dump(exclude={"source"}))
        pairs = part.pairs.open(recipe.seed + 1, recipe.targets)
        whole = pairs.batch(0, LABELLED, SIDE, "cpu")
        made = torch.cat([restored(network.eval(), each) for each in torch.split(whole.image, 1)])
        truth = whole.targets[recipe.targets[0]]
        np.savez(path, image=whole.image, target=(truth + made) / 2)
    with np.load(path) as kept:
        target = {recipe.targets[0]: torch.from_numpy(kept["target"])}
        images = PairBatch(torch.from_numpy(kept["image"]), target)
    return Labelled(source, images, recipe.seed)


@dataclass(frozen=True)
class Variant:
    """How a training differs from the recipe.

    Attributes
    ----------
    network : name and arguments; the recipe's by default.
    batch, crop : images in a step, and their sides in pixels.
    taught : changes the source.
    fresh : starts from nothing.
    """

    network: Mapping[str, Any] = field(default_factory=dict)
    batch: int = 4
    crop: int = 96
    taught: Callable[[PairSource, TrainingRecipe, Path], PairSource] | None = None
    fresh: bool = False


VARIANTS = {
    "as it is": Variant(),
    "taught by its mirror images": Variant(taught=of_itself),
    "taught by r_em": Variant(taught=of_r_em),
    "9 x 64²": Variant(batch=9, crop=64),
    "1 x 192²": Variant(batch=1, crop=192),
    "new": Variant(fresh=True),
    "new, no gates": Variant({"name": "cgrdn_small"}, fresh=True),
    "new, wider": Variant({"name": "cgrdn_spectral", "arguments": {"width": 96}}, fresh=True),
    "new, U-Net": Variant({"name": "unet"}, fresh=True),
    "new, NAFNet": Variant({"name": "nafnet"}, fresh=True),
}


def make_recipe(variant: Variant) -> TrainingRecipe:
    """The recipe of a variant, its rate constant."""
    settings = load_recipe(RECIPE).model_dump(exclude_unset=True)
    settings |= {"batch": variant.batch, "crop": variant.crop, "steps": 10**6}
    settings |= {"network": dict(variant.network)} if variant.network else {}
    settings |= {} if variant.fresh else {"initial": PUBLISHED}
    return TrainingRecipe.model_validate(settings)


def falling(recipe: TrainingRecipe, step: int) -> TrainingRecipe:
    """The recipe with a rate that falls from this step on, over as many steps as have been."""
    optimizer = recipe.optimizer.model_copy(update={"decay": step})
    return recipe.model_copy(update={"steps": 2 * step, "optimizer": optimizer})


def trained(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Steps and times of a training, which writes its weights into the folder."""
    variant = VARIANTS[name]
    recipe = make_recipe(variant)
    source = recipe.pairs.open(recipe.seed, recipe.targets)
    if variant.taught is not None:
        source = variant.taught(source, recipe, options.folder)
    maker = ExampleMaker(recipe, source)
    state = new_state(recipe, source.species, torch.device("cpu"))
    work = floating_point(state.network, variant)
    stepper = Stepper(state, recipe, Alone(torch.device("cpu")))
    spent = images = 0.0
    with batches(maker, torch.device("cpu")) as prepared:
        while spent < 60 * options.minutes:
            start = time.process_time()
            batch = next(prepared)
            middle = time.process_time()
            stepper.step(batch)
            state.step += 1
            images += middle - start
            spent += time.process_time() - start
            if spent > 30 * options.minutes and stepper.recipe is recipe:
                stepper.recipe = falling(recipe, state.step)
    common = make_recipe(Variant())
    judged = Validation(
        common,
        ExampleMaker(common, common.pairs.open(common.seed, common.targets)).validation("cpu"),
    )
    scores, _ = judged.score(state.average)
    card = model_card(recipe, source.species, judged, state.step, {"step": state.step, **scores})
    save_weights(options.folder / f"{name}.safetensors", state.average, card)
    return {
        "variant": name,
        "parameters": sum(part.numel() for part in state.network.parameters()),
        "steps": state.step,
        "s a step": spent / state.step,
        "images, %": 100 * images / spent,
        "GFLOP/s": work * state.step / (spent - images) / 1e9,
        "validation, dB": scores["psnr_out"],
    }


def floating_point(network: nn.Module, variant: Variant) -> float:
    """Floating-point operations of a step, forward and backward."""
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(variant.batch, 1, variant.crop, variant.crop)).sum().backward()
    network.zero_grad(set_to_none=True)
    return float(counter.get_total_flops())


def row(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """The figures of a variant, trained if it is not in the folder yet."""
    path = options.folder / f"{name}.json"
    if not path.exists():
        made = trained(name, options)
        path.write_text(json.dumps(made), encoding="utf-8")
    figures: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if options.images is not None:
        model = str(options.folder / f"{name}.safetensors")
        scores = results(options.images, Choice((model,), every=options.every))
        mine = scores[scores["method"] == Path(model).stem].groupby("group")["dB"].mean()
        figures |= {f"{dose} e-, dB": value for dose, value in mine.items()}
    return figures


def arguments(parser: argparse.ArgumentParser) -> None:
    """The folder, the time of a training and the variants."""
    shared.folder(parser, "keeps what has been trained")
    parser.add_argument("--minutes", type=float, default=6.0, help="of CPU time a training")
    parser.add_argument("--only", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--images", type=Path, help="folder of `restoration images`")
    parser.add_argument("--every", type=int, default=1, help="of how many specimens one is taken")
    shared.threads(parser)


def run(options: argparse.Namespace) -> None:
    """Train what the folder lacks, and print the table."""
    options.folder.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame([row(name, options) for name in options.only])
    tables.show(table, f"{options.minutes:g} CPU minutes each", 2)
