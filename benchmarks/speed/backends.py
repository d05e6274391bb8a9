"""A network by torch, and its exported graph by ONNX Runtime and by OpenVINO, in the same run.

    python -m benchmarks speed backends [--models stem-hr] [--sizes 256 512]

CPU seconds of one pass, the least of the repeats, which take turns; the largest difference to torch
over the largest value. Packages that are missing are left out (``pip install openvino``; ONNX and
its runtime are the extra `export`). Graphs have matrices of cosines in place of Fourier transforms,
as ONNX has no complex numbers. `--compiled` adds `torch.compile`, which needs a C++ compiler; the
first call of each way, in which that one compiles, is listed apart, with the compiler's seconds.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks import options as shared
from benchmarks import tables
from napari_atomseg import weights
from napari_atomseg.networks.files import load_weights
from napari_atomseg.weights.exports.graph import graph_of

Job = Callable[[], Any]


def by_onnxruntime(graph: bytes, image: torch.Tensor, threads: int) -> Job:
    """A pass of the graph."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda: session.run(None, {name: image.numpy()})[0]


def by_openvino(graph: bytes, image: torch.Tensor, threads: int) -> Job:
    """The same in float32; OpenVINO would take less precision where it can."""
    import openvino

    core = openvino.Core()
    settings = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(core.read_model(graph), "CPU", settings)
    return lambda: compiled(image.numpy())[0]


def by_torch(network: torch.nn.Module, image: torch.Tensor) -> Job:
    """A pass of the network as `restore` computes it."""

    def job() -> Any:
        with torch.inference_mode():
            return network(image).numpy()

    return job


def busy() -> float:
    """CPU seconds of this process and of those that it has run, such as a compiler."""
    spent = os.times()
    return time.process_time() + spent.children_user + spent.children_system


def arguments(parser: argparse.ArgumentParser) -> None:
    """Models, sizes and threads."""
    shared.models(parser, ("stem-hr",))
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512])
    parser.add_argument("--repeats", type=int, default=4)
    parser.add_argument("--compiled", action="store_true", help="torch.compile, too")
    shared.threads(parser)


def run(options: argparse.Namespace) -> None:
    """Print a line for each model, size and way."""
    # Compiled in this process, whose CPU seconds are counted.
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")
    names = ["model", "size", "by", "first call", "CPU seconds", "torch over it", "difference"]
    tables.begin(names)
    for model in options.models:
        network = load_weights(weights.resolve(model))[0].eval()
        others = {"ONNX Runtime": by_onnxruntime, "OpenVINO": by_openvino}
        try:
            graph = graph_of(network)
        except ImportError as error:
            print(f"{' and '.join(others)} are left out: {error}")
            graph, others = b"", {}
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        for size in options.sizes:
            image = torch.rand(1, 1, size, size, generator=torch.Generator().manual_seed(0))
            image = image.contiguous(memory_format=torch.channels_last)
            jobs: dict[str, Job] = {"torch": by_torch(network, image)}
            if options.compiled:
                jobs["torch.compile"] = by_torch(torch.compile(network), image)
            for name, make in others.items():
                try:
                    jobs[name] = make(graph, image, options.threads)
                except ImportError as error:
                    print(f"{name} is left out: {error}")
            found, first, seconds = {}, {}, {}
            for name, job in jobs.items():
                start = busy()
                found[name] = job()
                first[name] = busy() - start
            expected = found["torch"]
            for _ in range(options.repeats):
                for name, job in jobs.items():
                    start = time.process_time()
                    job()
                    taken = time.process_time() - start
                    seconds[name] = min(taken, seconds.get(name, taken))
            for name, taken in seconds.items():
                cells = [model, f"{size}²", name, f"{first[name]:.1f}", f"{taken:.3f}"]
                difference = float(np.abs(found[name] - expected).max() / np.abs(expected).max())
                tables.line([*cells, f"{seconds['torch'] / taken:.2f}", f"{difference:.1e}"])
