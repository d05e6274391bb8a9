"""AP-GAN's experiments on simulated images: few pairs, missing pixels, two crystals in one image.

    python -m benchmarks experiments apgan FOLDER [--experiments graphene missing multilayer]

graphene
    HRTEM of defective graphene, signal over noise 2.35, 60 pairs of 256² pixels. Root mean square
    position error of the maps' discs beside the filtered image's maxima and Gaussian fits.
    The paper: 6.20 pm, 21.54 pm by direct localization.
missing
    The same with 30 % of the pixels removed, AP-GAN beside an FCN. The paper: 11.2 and 13.3 pm.
multilayer
    PbTiO3/SrTiO3 with 30 % of the pixels kept, 30 pairs: share of columns found with the right
    species, and errors of Ti and of Pb and Sr columns, against the truth and, as in the paper,
    against the positions in the whole images. The paper: 7.0 and 5.2 pm.

The paper trains for 400 epochs; `--steps` says how long here. Trainings lie in FOLDER and go on
where they were stopped. Tests are drawn from another seed. A picture of the first goes to FOLDER.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy import ndimage
from skimage.feature import peak_local_max

import napari_atomseg as atomseg
from benchmarks import options as shared
from benchmarks import tables
from benchmarks.seeds import APGAN as SEED
from napari_atomseg.networks.files import load_weights
from napari_atomseg.networks.maps import compose, normalise
from napari_atomseg.simulation import Simulation, load_recipe, sample, write_library
from napari_atomseg.training import train

EXPERIMENTS = ("graphene", "missing", "multilayer")
STRUCTURE = [{"kind": "ssim"}, {"kind": "psnr"}]
CONTENT = {"column_mask": {"kind": "mse"}, "elements": {"kind": "cross_entropy"}}
"""What is joined to the hybrid loss. The discs of one of three species are so few that with squared
errors the generator soon paints all of them black, and stays there."""
APGAN = {
    "network": {"name": "apgan_generator"},
    "adversarial": {
        "loss": {"kind": "least_squares"},
        "discriminator": "apgan_discriminator",
        "conditional": False,
    },
}
FCN = {"network": {"name": "fcn2"}}
OXIDES = ("Pb", "Sr", "TiO")
INNER = "4 < y < 251 and 4 < x < 251"
"""Columns that count: not those that the border cuts."""

Image = NDArray[np.float32]


def with_missing(recipe: str, kept: float) -> Any:
    """A shipped recipe whose images keep a share of their pixels."""
    if kept == 1.0:
        return load_recipe(recipe)
    base = load_recipe(recipe).model_dump(mode="json")
    missing = {"kind": "missing_pixels", "kept": [kept, kept]}
    return load_recipe(
        {**base, "name": f"{recipe}-{kept}", "distortions": [*base["distortions"], missing]}
    )


def trained(name: str, simulation: Any, pairs: int, how: dict[str, Any], options: Any) -> Path:
    """Weights of a network that learned from a fixed set of pairs."""
    library = options.folder / f"{simulation.name}-pairs"
    write_library(library, simulation, pairs, seed=1, shape=(256, 256), layout="zarr")
    multilayer = "pto" in simulation.name
    task = "elements" if multilayer else "column_mask"
    losses = [CONTENT[task], *(STRUCTURE if how is APGAN else ())]
    recipe = {
        "name": name,
        "steps": options.steps,
        "batch": options.batch,
        "crop": options.crop,
        "validate_every": max(1, options.steps // 10),
        "validation": 8,
        "tasks": [task],
        "losses": {task: losses},
        "source": {
            "kind": "library",
            "folder": str(library),
            "split": 0.9,
            "species": OXIDES if multilayer else (),
        },
        "augmentation": {"flips": True, "right_angles": True},
        **how,
    }
    return train(recipe, options.folder / f"{name}.safetensors")


@torch.inference_mode()
def maps(network: torch.nn.Module, image: Image, tasks: tuple[str, ...]) -> Image:
    """(C, H, W) probabilities."""
    scaled, _, _ = normalise(torch.from_numpy(image)[None, None])
    return torch.sigmoid(compose(network(scaled), scaled, tasks))[0].numpy()


def spots(probability: Image) -> pd.DataFrame:
    """Centres of mass of the discs of a map."""
    areas, count = ndimage.label(probability > 0.5)
    numbers = np.arange(1, count + 1)
    size = ndimage.sum_labels(np.ones_like(probability), areas, numbers)
    points = ndimage.center_of_mass(probability, areas, numbers[size >= 3])
    return pd.DataFrame(np.reshape(points, (-1, 2)), columns=["y", "x"])


def errors(found: pd.DataFrame, truth: pd.DataFrame, radius: float) -> NDArray[np.float64]:
    """Distances in pixels of what was found to the truth, for columns away from the border."""
    i, j = atomseg.analyze.match(found, truth, radius)
    found, truth = found.iloc[i], truth.iloc[j]
    steps = found[["y", "x"]].to_numpy() - truth[["y", "x"]].to_numpy()
    return np.linalg.norm(steps[truth.eval(INNER).to_numpy()], axis=1)


def summary(distances: list[NDArray[np.float64]], wanted: int, sampling: float) -> dict[str, float]:
    """Root mean square error in pm, and the share of columns that were found."""
    every = np.concatenate(distances)
    rms = float(np.sqrt(np.mean(every**2))) if len(every) else np.nan
    return {"rms pm": 100 * sampling * rms, "found": len(every) / max(wanted, 1)}


def maxima(test: Simulation) -> pd.DataFrame:
    """Maxima of the image, filtered by a Gaussian of one pixel."""
    image = ndimage.gaussian_filter(test.image, 1.0)
    return pd.DataFrame(peak_local_max(image, min_distance=2), columns=["y", "x"])


def fits(test: Simulation) -> pd.DataFrame:
    """Gaussian fits of what is found without a network."""
    return atomseg.localize(test.image, detector="peaks", refine="gaussian", contrast="bright")


def position_table(tests: list[Simulation], methods: dict[str, Any], radius: float) -> pd.DataFrame:
    """Position errors of methods, each from a test to a table of columns."""
    inner = [t.columns.query(INNER) for t in tests]
    wanted, sampling = sum(map(len, inner)), tests[0].sampling
    rows = {}
    for name, method in methods.items():
        distances = [errors(method(t), t.columns, radius) for t in tests]
        rows[name] = summary(distances, wanted, sampling)
    return pd.DataFrame(rows).T


def picture(path: Path, test: Simulation, drawn: dict[str, Image]) -> None:
    """The middle of a test image with its true columns, beside the maps of the networks."""
    part = slice(64, 192)
    figure = Figure(figsize=(4 * (1 + len(drawn)), 4.2))
    axes = figure.subplots(1, 1 + len(drawn))
    axes[0].imshow(test.image[part, part], cmap="gray")
    truth = test.columns.query("64 < y < 191 and 64 < x < 191")[["y", "x"]] - 64.0
    axes[0].plot(truth["x"], truth["y"], ".", color="tab:red", markersize=3)
    axes[0].set_title("image and true columns")
    for axis, (name, probability) in zip(axes[1:], drawn.items(), strict=True):
        planes = np.moveaxis(probability[:3, part, part], 0, -1)
        axis.imshow(planes if planes.shape[-1] == 3 else planes[..., 0], cmap="gray")
        axis.set_title(name)
    for axis in axes:
        axis.axis("off")
    figure.tight_layout()
    figure.savefig(path, dpi=80)


def graphene(kept: float, options: Any) -> None:
    """Graphene with all pixels, or with some of them removed."""
    simulation = with_missing("apgan-graphene", kept)
    tests = [sample(simulation, index, SEED, (256, 256)) for index in range(options.images)]
    methods: dict[str, Any] = {}
    drawn: dict[str, Image] = {}
    for label, how in (("AP-GAN", APGAN), ("FCN", FCN)):
        name = f"{simulation.name}-{label}"
        network, card = load_weights(trained(name, simulation, 60, how, options))
        methods[label] = lambda t, n=network, k=card.tasks: spots(maps(n, t.image, k)[0])
        drawn[label] = maps(network, tests[0].image, card.tasks)
    picture(options.folder / f"{simulation.name}.png", tests[0], drawn)
    methods["maxima, filtered"] = maxima
    methods["Gaussian fits"] = fits
    title = f"graphene, {kept:.0%} of the pixels, 60 pairs, {options.steps} steps"
    tables.show(position_table(tests, methods, 2.5).rename_axis("method").reset_index(), title)


def multilayer(options: Any) -> None:
    """Element maps of PbTiO3/SrTiO3 from 30 % of the pixels."""
    simulation = with_missing("apgan-pto-sto", 0.3)
    tests = [sample(simulation, index, SEED, (256, 256)) for index in range(options.images)]
    weights = trained(f"{simulation.name}-AP-GAN", simulation, 30, APGAN, options)
    network, card = load_weights(weights)
    drawn = {"Pb red, Sr green, Ti-O blue": maps(network, tests[0].image, card.tasks)}
    picture(options.folder / f"{simulation.name}.png", tests[0], drawn)
    found = [[spots(m) for m in maps(network, t.image, card.tasks)] for t in tests]
    whole = [sample("apgan-pto-sto", index, SEED, (256, 256)) for index in range(options.images)]
    fitted = [fits(test) for test in whole]
    rows = {}
    for channel, species in enumerate(OXIDES):
        truths = [t.columns[t.columns["elements"] == species] for t in tests]
        wanted = sum(len(truth.query(INNER)) for truth in truths)
        each = [errors(f[channel], truth, 2.5) for f, truth in zip(found, truths, strict=True)]
        apart = [errors(f[channel], fit, 2.5) for f, fit in zip(found, fitted, strict=True)]
        moved = [errors(fit, truth, 2.5) for fit, truth in zip(fitted, truths, strict=True)]
        rows[species] = {
            **summary(each, wanted, tests[0].sampling),
            "from the whole image's fits": summary(apart, wanted, tests[0].sampling)["rms pm"],
            "those fits' own rms pm": summary(moved, wanted, tests[0].sampling)["rms pm"],
        }
    right = np.concatenate([species_right(f, t) for f, t in zip(found, tests, strict=True)])
    title = f"PbTiO3/SrTiO3, 30 % of the pixels, 30 pairs, {options.steps} steps"
    tables.show(pd.DataFrame(rows).T.rename_axis("species").reset_index(), title)
    print(f"right species: {right.mean():.2%} of {len(right)} columns found")


def species_right(found: list[pd.DataFrame], test: Simulation) -> NDArray[np.bool_]:
    """Whether each true column that some map shows is shown by the map of its species."""
    every = pd.concat(found, keys=OXIDES, names=["species", None]).reset_index("species")
    i, j = atomseg.analyze.match(every, test.columns, 2.5)
    return every["species"].to_numpy()[i] == test.columns["elements"].to_numpy()[j]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which experiments, and how long to train."""
    shared.trainings(parser, steps=3000, batch=4, crop=96)
    parser.add_argument("--experiments", nargs="+", choices=EXPERIMENTS, default=EXPERIMENTS)
    parser.add_argument("--images", type=int, default=10, help="to test on")


def run(options: argparse.Namespace) -> None:
    """Run the experiments."""
    options.folder.mkdir(parents=True, exist_ok=True)
    if "graphene" in options.experiments:
        graphene(1.0, options)
    if "missing" in options.experiments:
        graphene(0.7, options)
    if "multilayer" in options.experiments:
        multilayer(options)
