"""r_em's own networks (Lobato et al. 2023) as a peer, in an environment of their own.

    python -m venv rem
    rem/bin/pip install tensorflow-cpu h5py
    rem/bin/pip download tk_r_em==1.0.4 --no-deps --no-binary :all: && tar xf tk_r_em-1.0.4.tar.gz

    rem/bin/python -m benchmarks restoration peer tk_r_em-1.0.4 restore FOLDER
    rem/bin/python -m benchmarks restoration peer tk_r_em-1.0.4 pairs FOLDER

The source package holds six networks and test images, 190 MB; nothing else of it is used, as its
loader wants an older TensorFlow. `restore` reads `FOLDER/input/*.npy` (2-D, float) and writes what
the network makes of them to `FOLDER/r_em/`; `seconds.csv` there has name, rows, columns and CPU
seconds of each. `pairs` unpacks the test pairs of each network, `FOLDER/MODE/input` and
`FOLDER/MODE/truth`, and restores them. `restoration scores` reads both. This file
needs nothing of napari-atomseg.
"""

import argparse
import csv
import os
import time
from pathlib import Path

import h5py
import numpy as np

MODES = ("hrstem", "lrstem", "hrtem", "lrtem", "hrsem", "lrsem")


def network(package: Path, mode: str):
    """The network of a mode, (1, H, W, 1) to the same, H and W even."""
    import tensorflow as tf

    path = package / "tk_r_em" / "models" / f"sfr_{mode}"
    return tf.saved_model.load(str(path))


def restored(model, image: np.ndarray) -> np.ndarray:
    """One image (H, W); an odd side gets a row or column more, which is cut off again."""
    import tensorflow as tf

    height, width = image.shape
    even = np.pad(image, ((0, height % 2), (0, width % 2)), mode="edge").astype(np.float32)
    return model(tf.constant(even[None, :, :, None]), training=False).numpy()[0, :height, :width, 0]


def restore(package: Path, folder: Path, mode: str) -> None:
    """Restore what is not restored yet of a folder, and note the CPU seconds of each."""
    target = folder / "r_em"
    target.mkdir(exist_ok=True)
    model = network(package, mode)
    for path in sorted((folder / "input").glob("*.npy")):
        if (target / path.name).exists():
            continue
        image = np.load(path)
        start = time.process_time()
        result = restored(model, image)
        seconds = time.process_time() - start
        with (target / "seconds.csv").open("a", newline="") as file:
            csv.writer(file).writerow((path.stem, *image.shape, round(seconds, 3)))
        np.save(target / path.name, result)


def unpack(package: Path, folder: Path, mode: str) -> bool:
    """Write a mode's test pairs; false where the package holds none."""
    with h5py.File(package / "tk_r_em" / "test_data" / f"sfr_{mode}.h5") as data:
        if "y" not in data:
            return False
        for part, key in (("input", "x"), ("truth", "y")):
            (folder / part).mkdir(parents=True, exist_ok=True)
            for number, image in enumerate(np.asarray(data[key], np.float32).squeeze(1)):
                # Stored column by column: the lines of the scan are the rows of the image.
                np.save(folder / part / f"{number}.npy", np.ascontiguousarray(image.T))
    return True


def arguments(parser: argparse.ArgumentParser) -> None:
    """The package, what to do, and where."""
    parser.add_argument("package", type=Path, help="folder of the unpacked source package")
    parser.add_argument("job", choices=("restore", "pairs"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--mode", choices=MODES, default="hrstem")
    parser.add_argument("--cores", type=int, default=1, help="threads of TensorFlow [1]")


def run(options: argparse.Namespace) -> None:
    """Restore a folder, or every network's own test pairs."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(options.cores)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    if options.job == "restore":
        restore(options.package, options.folder, options.mode)
        return
    for mode in MODES:
        if unpack(options.package, options.folder / mode, mode):
            restore(options.package, options.folder / mode, mode)
        else:
            print(f"{mode}: the package holds no pairs")
