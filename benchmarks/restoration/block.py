"""BM3D restores the images of a folder, in an environment of its own.

    bm3d/bin/python -m benchmarks restoration block FOLDER

`peers denoise` writes the images, whose noise is one, and runs this: by default, and with a larger
search window. `FOLDER/WAY/NAME.npz` gets the image and the CPU seconds. This file needs nothing of
napari-atomseg.
"""

import argparse
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.timing import fastest

WAYS = {"BM3D": 39, "BM3D, search of 79 px": 79}
"""Side of the window in which similar blocks are looked for, pixels; 39 by default."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The images."""
    parser.add_argument("folder", type=Path, help="holds images (.npy), and gets the restored ones")


def run(options: argparse.Namespace) -> None:
    """Restore each image, and keep the CPU seconds."""
    import bm3d

    for way, side in WAYS.items():
        profile = bm3d.BM3DProfile()
        profile.search_window_ht = profile.search_window_wiener = side
        (options.folder / way).mkdir()
        for path in sorted(options.folder.glob("*.npy")):
            job = partial(bm3d.bm3d, np.load(path), 1.0, profile)
            seconds, restored = fastest(job, repeats=1)
            np.savez(options.folder / way / f"{path.stem}.npz", image=restored, seconds=seconds)
