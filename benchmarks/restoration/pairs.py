"""r_em's own test pairs: raw, ours, ours best, r_em, r_em best, a modality a row.

    python -m benchmarks restoration pairs tk_r_em-1.0.4 FOLDER --best --pictures PICTURES

The pairs are those of the unpacked source package (`restoration peer --help` has how to get it):
eight of 256² for each network but the one for HR-TEM. r_em's networks are the imported ones
(`napari-atomseg models import r-em-hr-stem tk_r_em-1.0.4.tar.gz`); where `restoration peer` has
restored the same folder with TensorFlow, its results are compared with theirs.

Pairs whose image is the truth are left out: their PSNR is infinite. The score is that of
`restoration scores`. Models that are not imported are left out.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from benchmarks import options as shared
from benchmarks import tables
from benchmarks.restoration.scores import Choice, cases, choices, results
from napari_atomseg import weights

KINDS = ("hr-stem", "lr-stem", "hr-tem", "lr-tem", "hr-sem", "lr-sem")


def unpack(package: Path, folder: Path, kind: str) -> bool:
    """Write a network's pairs, noise-free ones left out; false where the package holds none."""
    mode = kind.replace("-", "")
    with h5py.File(package / "tk_r_em" / "test_data" / f"sfr_{mode}.h5") as data:
        if "y" not in data:
            return False
        images, truths = (np.asarray(data[key], np.float32).squeeze(1) for key in "xy")
    for part in ("input", "truth"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for number, (image, truth) in enumerate(zip(images, truths, strict=True)):
        if np.array_equal(image, truth):
            (folder / "input" / f"{number}.npy").unlink(missing_ok=True)
            continue
        # Stored column by column: the lines of the scan are the rows of the image.
        np.save(folder / "input" / f"{number}.npy", np.ascontiguousarray(image.T))
        np.save(folder / "truth" / f"{number}.npy", np.ascontiguousarray(truth.T))
    return True


def usable(names: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the models that are here or can be downloaded."""
    here = weights.models_for(("denoise",))
    return tuple(name for name in names if name in here)


def difference(folder: Path, kind: str) -> float:
    """Largest deviation of the imported network from TensorFlow's, in ranges of the truth."""
    made = sorted((folder / "made").glob(f"r-em-{kind} *"))
    theirs = folder / "r_em"
    if not made or not theirs.is_dir():
        return float("nan")
    worst = 0.0
    for case in cases(folder):
        ours, other = (place / f"{case.stem}.npy" for place in (made[-1], theirs))
        if ours.exists() and other.exists():
            error = np.abs(np.load(ours) - np.load(other)).max()
            worst = max(worst, float(error / np.ptp(case.truth)))
    return worst


def arguments(parser: argparse.ArgumentParser) -> None:
    """The package, the folder and what is run."""
    parser.add_argument("package", type=Path, help="folder of the unpacked source package")
    shared.folder(parser, "keeps the pairs, and what was made of them")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    choices(parser, "pairs")


def run(options: argparse.Namespace) -> None:
    """Unpack, restore and score."""
    rows, seconds, each = [], [], []
    for kind in options.kinds:
        folder = options.folder / kind.replace("-", "")
        if not unpack(options.package, folder, kind):
            print(f"{kind}: the package holds no pairs")
            continue
        models = usable((f"restore-{kind}", f"r-em-{kind}"))
        chosen = Choice(models, tuple(options.baselines), options.best, every=options.every)
        pictures = options.pictures and options.pictures / kind
        if pictures:
            pictures.mkdir(parents=True, exist_ok=True)
        table = results(folder, chosen, pictures)
        table["method"] = table["method"].map(lambda name, kind=kind: name.replace(f"-{kind}", ""))
        mean = table.groupby("method", sort=False)[["dB", "seconds"]].mean()
        rows.append({"images": kind, **mean["dB"], "difference": difference(folder, kind)})
        seconds.append({"images": kind, **mean["seconds"]})
        each.append(table.assign(name=kind + " " + table["name"]))
    if options.each and each:
        every = pd.concat(each)
        wide = every.pivot_table(index="name", columns="method", values="dB", sort=False)
        tables.show(wide.reset_index(), "PSNR (dB) of each pair", 1)
    tables.show(pd.DataFrame(rows), "PSNR (dB) after the best affine fit, mean", 4)
    tables.show(pd.DataFrame(seconds), "CPU seconds an image, mean", 2)
