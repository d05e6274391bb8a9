"""BM3D restores the images of a folder, in an environment of its own.

    bm3d/bin/python -m benchmarks restoration block FOLDER

`peers denoise` writes the images, whose noise is one, and runs this. This file needs nothing of
napari-atomseg.
"""

import argparse
import time
from pathlib import Path

import numpy as np


def arguments(parser: argparse.ArgumentParser) -> None:
    """The images."""
    parser.add_argument("folder", type=Path, help="holds images (.npy), and gets the restored ones")


def run(options: argparse.Namespace) -> None:
    """Restore each image, and keep the CPU seconds."""
    import bm3d

    for path in sorted(options.folder.glob("*.npy")):
        image = np.load(path)
        start = time.process_time()
        restored = bm3d.bm3d(image, 1.0)
        np.savez(path.with_suffix(".npz"), image=restored, seconds=time.process_time() - start)
