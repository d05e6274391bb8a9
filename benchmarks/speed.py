"""Seconds and memory of `restore`, beside a U-Net of AtomSegNet's published size in the same run.

    python benchmarks/speed.py
    python benchmarks/speed.py --sizes 256 1024 --repeats 3 --threads 2

Every figure comes from a process of its own, so that its peak memory (resident set, which includes
Python and PyTorch) is its own. The network is loaded and warmed up on one small image first; the
seconds are the wall time of the fastest of the repeats. The U-Net (Lin et al. 2021: two poolings,
64-128-256 channels, two 3×3 convolutions with batch normalisation a level) has random weights,
computes one map in float32 and is tiled and blended exactly as `restore` is.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Image = NDArray[np.float32]

TILE_SIZE = 1024
SPACING = 14.0


def lattice_image(size: int) -> Image:
    """(size, size) float32: a noisy square lattice of Gaussian columns `SPACING` pixels apart."""
    import numpy as np

    profile = np.exp(8.0 * (np.cos(2 * np.pi * np.arange(size) / SPACING) - 1.0))
    expected = 2.0 + 20.0 * np.outer(profile, profile)
    return np.random.default_rng(0).poisson(expected).astype(np.float32)


def restore_task() -> tuple[Callable[[Image], object], int]:
    """`restore` with the bundled network, and the number of its parameters."""
    from napari_atomseg import weights
    from napari_atomseg.inference import restore
    from napari_atomseg.networks.files import load_weights

    network, _ = load_weights(weights.resolve(None))

    def run(image: Image) -> object:
        return restore(image, device="cpu", tile_size=TILE_SIZE)

    return run, sum(p.numel() for p in network.parameters())


def unet_task() -> tuple[Callable[[Image], object], int]:
    """The plain U-Net on the tiles of `restore`, and the number of its parameters."""
    import torch

    from napari_atomseg import networks
    from napari_atomseg.inference.tiles import Blender, tiles

    network = networks.create("atomsegnet_unet").eval().to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def run(image: Image) -> object:
        whole = torch.from_numpy((image - image.mean()) / image.std())[None, None]
        shape = (image.shape[0], image.shape[1])
        blender = Blender(1, shape)
        for tile in tiles(shape, TILE_SIZE):
            part = whole[..., tile.top : tile.bottom, tile.left : tile.right]
            blender.add(tile, network(part.contiguous(memory_format=torch.channels_last))[0])
        return blender.result()

    return run, sum(p.numel() for p in network.parameters())


TASKS = {"restore": restore_task, "unet": unet_task}
NAMES = {"restore": "restore (stem-hr)", "unet": "U-Net 64-128-256"}


def resident_peak() -> int:
    """Largest resident set of this process so far, in bytes."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def measure(task: str, size: int, repeats: int, threads: int) -> dict[str, float]:
    """Seconds, peak memory and parameters of one task on one size, in this process."""
    import torch

    torch.set_num_threads(threads)
    run, parameters = TASKS[task]()
    image = lattice_image(size)
    run(lattice_image(128))
    before = resident_peak()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        run(image)
        seconds.append(time.perf_counter() - start)
    return {
        "seconds": min(seconds),
        "peak": resident_peak(),
        "before": before,
        "parameters": parameters,
    }


def measure_afresh(task: str, size: int, repeats: int, threads: int) -> dict[str, float]:
    """`measure` in a new process."""
    command = [sys.executable, str(Path(__file__).resolve()), "--one", task, str(size)]
    command += ["--repeats", str(repeats), "--threads", str(threads)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    figures: dict[str, float] = json.loads(output.splitlines()[-1])
    return figures


def main() -> None:
    """Measure every task on every size and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 1024, 4096])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--one", nargs=2, metavar=("TASK", "SIZE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        task, size = options.one[0], int(options.one[1])
        print(json.dumps(measure(task, size, options.repeats, options.threads)))
        return
    print(f"threads: {options.threads}, fastest of {options.repeats}, tiles of {TILE_SIZE} px")
    print(f"{'':20}{'parameters':>12}{'image':>8}{'seconds':>10}{'peak MB':>10}{'at rest MB':>12}")
    for size in options.sizes:
        for task, name in NAMES.items():
            figures = measure_afresh(task, size, options.repeats, options.threads)
            print(
                f"{name:20}{figures['parameters']:>12,}{size:>7}²{figures['seconds']:>10.2f}"
                f"{figures['peak'] / 1e6:>10.0f}{figures['before'] / 1e6:>12.0f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
