"""scanning-drift-corr (Ophus, Ciston and Nelson 2016) as a peer, in an environment of its own.

    python -m venv drift && drift/bin/pip install scanning_drift_corr==1.0.1
    drift/bin/python -m benchmarks restoration orthogonal FOLDER

It merges two scans of one field whose fast directions are orthogonal: every line of each is moved
to where it fits the other scan, and both are put onto one grid (Python port of `SPmerge01linear`,
`SPmerge02` and `SPmerge03`, at their defaults but for the kernel). `FOLDER/input/*.npy` are pairs
(2, H, H) in the frame of the image: the lines of the first are its rows, those of the second its
columns, which the microscope recorded turned by 90°. The merged image, cut to (H, H), goes to
`FOLDER/scanning_drift_corr/`; `seconds.csv` there has name, rows, columns and CPU seconds of each.
`restoration lines --orthogonal` writes such pairs, runs this and scores the result. This file needs
nothing of napari-atomseg.
"""

import argparse
import csv
import time
from pathlib import Path

import numpy as np

RESULTS = "scanning_drift_corr"
ANGLES = (0, 90)
KERNEL = 0.5
"""Deviation in half pixels of the kernel that puts lines onto the grid. The default of 1.5 blurs
columns 10 px apart: restored images are then 5 dB further from the truth."""
STEPS = (32, 8)
"""Most steps of the final and of the initial alignment, those of the published example."""


def merged(pair: np.ndarray) -> np.ndarray:
    """One image (H, H) from two scans (2, H, H)."""
    import scanning_drift_corr.api as peer

    quiet = {"flagPlot": False, "flagReportProgress": False, "parallel": False}
    across = np.rot90(pair[1], -1)
    state = peer.SPmerge01linear(ANGLES, pair[0], across, **quiet)
    state = peer.SPmerge02(state, *STEPS, **quiet)
    image = peer.SPmerge03(state, KDEsigma=KERNEL, flagPlot=False)[0]
    return cut(image, pair.shape[1])


def cut(image: np.ndarray, side: int) -> np.ndarray:
    """The middle of a padded image."""
    top, left = ((length - side) // 2 for length in image.shape)
    return image[top : top + side, left : left + side]


def seconds(folder: Path) -> dict[str, float]:
    """CPU seconds of each pair of a folder by its name, the last ones where it was merged again."""
    with (folder / RESULTS / "seconds.csv").open(newline="") as file:
        return {row[0]: float(row[-1]) for row in csv.reader(file)}


def arguments(parser: argparse.ArgumentParser) -> None:
    """The pairs."""
    parser.add_argument("folder", type=Path, help="holds the pairs of scans, and gets the images")


def run(options: argparse.Namespace) -> None:
    """Merge the pairs that are not merged yet, and note the CPU seconds of each."""
    import matplotlib as mpl

    mpl.use("Agg")
    target = options.folder / RESULTS
    target.mkdir(exist_ok=True)
    for path in sorted((options.folder / "input").glob("*.npy")):
        if (target / path.name).exists():
            continue
        pair = np.load(path).astype(float)
        start = time.process_time()
        image = merged(pair)
        taken = time.process_time() - start
        with (target / "seconds.csv").open("a", newline="") as file:
            csv.writer(file).writerow((path.stem, *pair.shape[1:], round(taken, 3)))
        np.save(target / path.name, image.astype(np.float32))
