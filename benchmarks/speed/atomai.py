"""AtomAI's U-Net maps an image, in an environment of its own: CPU seconds and parameters.

    atomai/bin/python -m benchmarks speed atomai 256 512 1024

`peers networks` runs this. The network is AtomAI's default for segmentation with one class
(`atomai.nets.Unet`), with random weights, on which the time does not depend; one thread. Prints a
line of JSON. This file needs nothing of napari-atomseg.
"""

import argparse
import json
import sys
from functools import partial
from unittest.mock import MagicMock

import numpy as np

from benchmarks.timing import fastest

UNUSED = ("torchvision", "torchvision.models", "torchvision.utils")
"""Modules that AtomAI imports for other networks. torchvision, as published, fails to load beside a
PyTorch that was built without CUDA."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The sides of the images."""
    parser.add_argument("sizes", type=int, nargs="+", help="pixels")
    parser.add_argument("--threads", type=int, default=1, help="of PyTorch [1]")


def run(options: argparse.Namespace) -> None:
    """Time the network on noise of each size."""
    import torch

    sys.modules |= {name: MagicMock() for name in UNUSED}
    from atomai.nets import Unet

    network, random = Unet(nb_classes=1).eval(), np.random.default_rng(0)
    seconds = {}
    with torch.inference_mode():
        for size in options.sizes:
            image = torch.from_numpy(random.random((1, 1, size, size), np.float32))
            seconds[size], _ = fastest(partial(network, image), before=1)
    count = sum(each.numel() for each in network.parameters())
    print(json.dumps({"parameters": count, "seconds": seconds, "torch": torch.__version__}))
