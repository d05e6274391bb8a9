"""Models as ONNX: a graph of a network and its finished maps that other programs run.

The graph takes float32 images (batch, 1, height, width) of any size from `least_side` on, each
scaled as the model's card says. It pads them by reflection at the bottom and right, and cuts its
maps back to the size of the image, so that nothing needs to be padded outside.
"""

from __future__ import annotations

import json
import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from napari_atomseg._shared.files import package_version, whole_file
from napari_atomseg.networks.card import ModelCard
from napari_atomseg.networks.exporting import for_export
from napari_atomseg.networks.files import load_weights
from napari_atomseg.networks.finished import FinishedMaps
from napari_atomseg.networks.schemes import RANGE
from napari_atomseg.networks.tasks import ELEMENTS, LINE_SHIFTS, RESTORATION, spans
from napari_atomseg.progress import CancelToken, Progress, report

SUFFIX = ".onnx"
OPSET = 18
"""Operators of ONNX 1.13 (2022): the first that torch's exporter makes, and onnxruntime from 1.14
on runs.
"""
INPUT, OUTPUT = "image", "maps"
EXAMPLE = (2, 1, 64, 96)
"""Shape of the images that the graph is traced with."""
LEAST_SIDE = 64
"""Pixels that a side has at least."""
AGREEMENT = 1e-4
"""Largest difference from torch that is accepted: in units of the scaled image, or of the maps'
deviation where that is larger. Rounding makes some 1e-6.
"""
ADVICE = "pip install 'napari-atomseg[export]'"
_CHECKED = ((1, 1, 64, 64), (1, 1, 67, 101))
"""Shapes of the images that a graph is checked on."""


@dataclass(frozen=True)
class Agreement:
    """How far an exported model is from torch on random images.

    Attributes
    ----------
    largest : largest difference of any value.
    scale : largest standard deviation of a map.
    """

    largest: float
    scale: float

    @property
    def holds(self) -> bool:
        """Whether it is rounding alone."""
        return self.largest <= AGREEMENT * max(self.scale, 1.0)


def require(package: str) -> ModuleType:
    """A package of the extra `export`.

    Raises
    ------
    ImportError
        It is not installed; the message says how to.
    """
    try:
        return import_module(package)
    except ImportError as error:
        raise ImportError(f"exporting models needs {package}: {ADVICE}") from error


def finished(path: str | Path) -> tuple[FinishedMaps, ModelCard]:
    """The network of a weights file with its finished maps, and its card.

    Raises
    ------
    WeightsError
        The file is damaged, or its scheme is not known.
    """
    network, card = load_weights(path)
    return FinishedMaps.of(network, card), card


def write_onnx(
    path: Path,
    model: FinishedMaps,
    card: ModelCard,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> Agreement:
    """Write a model as ONNX, compared with torch by onnxruntime.

    The card and what the model expects are in the file's metadata.

    Raises
    ------
    ImportError
        The extra `export` is not installed.
    ValueError
        The file's maps are not those of torch: nothing is written.
    Cancelled
        `cancel` was raised.
    """
    require("onnxruntime")
    report(progress, cancel, 0, 2, f"making the graph of {card.name}")
    content = _with_metadata(graph_of(model), description(card))
    report(progress, cancel, 1, 2, f"comparing {card.name} with torch")
    agreement = compared(content, model)
    report(progress, cancel, 2, 2, f"writing {card.name}")
    if not agreement.holds:
        raise ValueError(
            f"{card.name}: the maps of the exported graph differ from torch's by "
            f"{agreement.largest:.2g}; it was not written"
        )
    with whole_file(path) as partial:
        partial.write_bytes(content)
    return agreement


def graph_of(model: nn.Module) -> bytes:
    """The ONNX graph of a model, with batch, height and width left open.

    Raises
    ------
    ImportError
        The extra `export` is not installed.
    """
    for package in ("onnx", "onnxscript"):
        require(package)
    axes = {
        0: torch.export.Dim("batch", min=1, max=4096),
        2: torch.export.Dim("height", min=LEAST_SIDE, max=65536),
        3: torch.export.Dim("width", min=LEAST_SIDE, max=65536),
    }
    generator = torch.Generator().manual_seed(0)
    example = torch.randn(EXAMPLE, generator=generator)
    with warnings.catch_warnings(), _quiet(), for_export(), torch.no_grad():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            model,
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes=(axes,),
            verbose=False,
        )
    if program is None:
        raise ValueError("torch made no graph of the model")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"model{SUFFIX}"
        program.save(str(file), external_data=False)
        return file.read_bytes()


@contextmanager
def _quiet() -> Iterator[None]:
    """Within, the exporter keeps silent about packages that are not needed."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def compared(
    content: bytes, model: nn.Module, shapes: tuple[tuple[int, int, int, int], ...] = _CHECKED
) -> Agreement:
    """How far a graph run by onnxruntime is from torch, on normal noise of some shapes.

    Raises
    ------
    ImportError
        onnxruntime is not installed.
    """
    runtime = require("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    generator = torch.Generator().manual_seed(1)
    largest = scale = 0.0
    for shape in shapes:
        image = torch.randn(shape, generator=generator)
        with torch.inference_mode():
            expected = model(image).numpy()
        (found,) = session.run([OUTPUT], {INPUT: image.numpy()})
        largest = max(largest, _difference(found, expected))
        scale = max(scale, float(expected.std(axis=(0, 2, 3)).max()))
    return Agreement(largest, scale)


def _difference(found: NDArray[Any], expected: NDArray[Any]) -> float:
    if found.shape != expected.shape or not np.isfinite(found).all():
        return float("inf")
    return float(np.abs(found - expected).max())


def channel_names(card: ModelCard) -> list[str]:
    """Name of each map, in their order: its task, with the species or the axis where it has one."""
    names: list[str] = []
    count = int(card.arguments.get("channels_out", len(card.tasks)))
    for task, place in spans(card.tasks, count).items():
        known = place.stop - place.start
        if task == ELEMENTS and len(card.species) == known:
            names += [f"{task}:{species}" for species in card.species]
        elif task == LINE_SHIFTS:
            names += [f"{task}:{part}" for part in ("y", "x", "log_deviation_y", "log_deviation_x")]
        else:
            names += [task] if known == 1 else [f"{task}:{number}" for number in range(known)]
    return names


def description(card: ModelCard) -> dict[str, str]:
    """What an exported model expects and gives, in words, for its metadata."""
    if card.normalisation == RANGE:
        scaled = "(image - minimum) / (maximum - minimum) of each image"
    else:
        scaled = "(image - mean) / standard deviation of each image, over all its pixels"
    intensities = [task for task in card.tasks if task in RESTORATION]
    units = "columns and species: probabilities from 0 to 1"
    if intensities:
        units = (
            f"{', '.join(intensities)}: in units of the scaled image (denoise: times the divisor, "
            "plus what was subtracted, gives the image's own; others: times the divisor); " + units
        )
    if LINE_SHIFTS in card.tasks:
        units = "displacements of lines in pixels, and natural logarithms of their deviations"
    return {
        "producer": f"napari-atomseg {package_version()}",
        "name": card.name,
        "input": "float32 (batch, 1, height, width)",
        "normalisation": scaled,
        "padding": "none needed: the graph mirrors rows at the bottom and columns at the right, up "
        "to the multiple of pixels that the network takes, and cuts its maps to the image",
        "least_side": str(LEAST_SIDE),
        "contrast": "columns bright"
        if card.sees == "prepared"
        else "as recorded: columns bright or dark",
        "spacing_range": json.dumps(card.spacing_range),
        "output": "float32 (batch, map, height, width)",
        "maps": json.dumps(channel_names(card)),
        "units": units,
        "licence": card.licence,
        "citation": card.citation,
        "card": card.model_dump_json(),
    }


def _with_metadata(content: bytes, known: Mapping[str, str]) -> bytes:
    onnx = require("onnx")
    graph = onnx.load_model_from_string(content)
    graph.producer_name, graph.producer_version = "napari-atomseg", package_version()
    graph.doc_string = known["normalisation"]
    onnx.helper.set_model_props(graph, dict(known))
    onnx.checker.check_model(graph)
    written: bytes = graph.SerializeToString()
    return written
