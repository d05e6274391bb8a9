"""Model packages of bioimage.io (format 0.5), written and validated by `bioimageio.spec`.

A package is a ZIP file: `rdf.yaml` describes the model, beside its weights, as ONNX and as a state
dictionary of PyTorch, an image to test it with, and its documentation. See
github.com/bioimage-io/spec-bioimage-io.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from numpy.typing import NDArray

from napari_atomseg._shared.files import whole_file
from napari_atomseg.networks.card import ModelCard
from napari_atomseg.networks.finished import FinishedMaps
from napari_atomseg.networks.schemes import RANGE
from napari_atomseg.progress import CancelToken, Progress
from napari_atomseg.weights.exports.graph import (
    INPUT,
    LEAST_SIDE,
    OPSET,
    OUTPUT,
    Agreement,
    channel_names,
    description,
    require,
    write_onnx,
)

FORMAT = "0.5.4"
CONFIG = "napari_atomseg"
"""Key of our part of `config`, which has the model's card."""
RDF, DOCUMENTATION = "rdf.yaml", "README.md"
GRAPH, STATE = "weights.onnx", "weights.pt"
TEST_SHAPE = (1, 1, 96, 112)
_LONGEST_DESCRIPTION = 1024
_SHORTEST_NAME, _LONGEST_NAME = 5, 64
_SPDX = {"GPL-3.0": "GPL-3.0-only"}
_PAGE = "https://github.com/napari-atomseg/napari-atomseg"


def write_package(
    path: Path,
    model: FinishedMaps,
    card: ModelCard,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> Agreement:
    """Write a model as a package, validated by `bioimageio.spec`.

    Returns
    -------
    How far its ONNX is from torch.

    Raises
    ------
    ImportError
        The extra `export` is not installed.
    ValueError
        The package is not valid, or the maps of its ONNX are not those of torch: nothing is
        written.
    Cancelled
        `cancel` was raised.
    """
    require("bioimageio.spec")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        agreement = write_onnx(folder / GRAPH, model, card, progress, cancel)
        torch.save(model.state_dict(), folder / STATE)
        image = _test_image(card)
        np.save(folder / f"test_{INPUT}.npy", image)
        with torch.inference_mode():
            maps = model(torch.from_numpy(_scaled(image, card))).numpy()
        np.save(folder / f"test_{OUTPUT}.npy", maps)
        (folder / DOCUMENTATION).write_text(_documentation(card), encoding="utf-8")
        rdf = _rdf(folder, card)
        (folder / RDF).write_text(
            yaml.safe_dump(rdf, sort_keys=False, allow_unicode=True), encoding="utf-8"
        )
        content = _zipped(folder)
        _validate(content, card.name)
    with whole_file(path) as partial:
        partial.write_bytes(content)
    return agreement


def _zipped(folder: Path) -> bytes:
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, file.name)
    return stream.getvalue()


def _validate(content: bytes, name: str) -> None:
    """Have the library check the whole package: fields, checksums and test images.

    Raises
    ------
    ValueError
        It is not valid.
    """
    spec = require("bioimageio.spec")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.zip"
        file.write_bytes(content)
        found = spec.load_description(file)
    if isinstance(found, spec.InvalidDescr):
        raise ValueError(f"{name}: not a valid package: {found.validation_summary.format()}")


def _test_image(card: ModelCard) -> NDArray[np.float32]:
    """A lattice with noise, of the spacings that the model knows; bright columns."""
    spacing = 12.0
    if card.spacing_range is not None:
        spacing = float(np.clip(spacing, *card.spacing_range))
    rows, cols = np.indices(TEST_SHAPE[2:]) / spacing
    peaks = (0.5 + 0.25 * (np.cos(2 * np.pi * rows) + np.cos(2 * np.pi * cols))) ** 4
    counts = np.random.default_rng(0).poisson(5.0 + 100.0 * peaks)
    return np.asarray(counts, np.float32)[None, None]


def _scaled(image: NDArray[np.float32], card: ModelCard) -> NDArray[np.float32]:
    low, scale = float(image.mean()), float(image.std())
    if card.normalisation == RANGE:
        low, scale = float(image.min()), float(np.ptp(image))
    return ((image - low) / scale).astype(np.float32)


def _file(folder: Path, name: str) -> dict[str, str]:
    return {"source": name, "sha256": hashlib.sha256((folder / name).read_bytes()).hexdigest()}


def _rdf(folder: Path, card: ModelCard) -> dict[str, Any]:
    """The description of a package whose other files are in a folder."""
    space = [{"type": "space", "id": axis} for axis in "yx"]
    free = {"min": LEAST_SIDE, "step": 1}
    scaling: dict[str, Any] = {
        "id": "zero_mean_unit_variance",
        "kwargs": {"axes": ["channel", "y", "x"]},
    }
    if card.normalisation == RANGE:
        limits = {"min_percentile": 0.0, "max_percentile": 100.0}
        scaling = {"id": "scale_range", "kwargs": {"axes": ["channel", "y", "x"], **limits}}
    names = [name.replace(":", "_") for name in channel_names(card)]
    by = card.citation.partition(",")[0] if card.citation else "napari-atomseg contributors"
    page = card.source.partition(",")[0] if card.source.startswith("https://") else _PAGE
    cite = {"text": card.citation or "napari-atomseg", "url": page}
    return {
        "type": "model",
        "format_version": FORMAT,
        "name": _package_name(card.name),
        "description": (card.description or card.name)[:_LONGEST_DESCRIPTION],
        "authors": [{"name": by}],
        "cite": [cite],
        "license": _SPDX.get(card.licence, card.licence),
        "documentation": DOCUMENTATION,
        "git_repo": _PAGE,
        "tags": ["electron-microscopy", "atomic-resolution", card.modality.lower(), *card.tasks],
        "inputs": [
            {
                "id": INPUT,
                "description": f"{card.modality} image of one detector",
                "axes": [
                    {"type": "batch"},
                    {"type": "channel", "channel_names": ["intensity"]},
                    *({**axis, "size": free} for axis in space),
                ],
                "data": {"type": "float32"},
                "test_tensor": _file(folder, f"test_{INPUT}.npy"),
                "preprocessing": [
                    {"id": "ensure_dtype", "kwargs": {"dtype": "float32"}},
                    scaling,
                ],
            }
        ],
        "outputs": [
            {
                "id": OUTPUT,
                "description": "a map for each task; their units are in the documentation",
                "axes": [
                    {"type": "batch"},
                    {"type": "channel", "channel_names": names},
                    *(
                        {**axis, "size": {"tensor_id": INPUT, "axis_id": axis["id"]}}
                        for axis in space
                    ),
                ],
                "data": {"type": "float32"},
                "test_tensor": _file(folder, f"test_{OUTPUT}.npy"),
            }
        ],
        "weights": {
            "pytorch_state_dict": {
                **_file(folder, STATE),
                "pytorch_version": torch.__version__.partition("+")[0],
                "architecture": {
                    "callable": FinishedMaps.__name__,
                    "import_from": FinishedMaps.__module__,
                    "kwargs": {
                        "architecture": card.architecture,
                        "arguments": json.loads(json.dumps(card.arguments)),
                        "tasks": list(card.tasks),
                        "normalisation": card.normalisation,
                    },
                },
            },
            "onnx": {
                **_file(folder, GRAPH),
                "opset_version": OPSET,
                "parent": "pytorch_state_dict",
            },
        },
        "config": {CONFIG: {"card": card.model_dump_json()}},
    }


def _package_name(name: str) -> str:
    """A name in the characters and the length that packages allow."""
    allowed = re.sub(r"[^A-Za-z0-9_+\- ()]", "-", name)[:_LONGEST_NAME]
    return allowed if len(allowed) >= _SHORTEST_NAME else f"{allowed} model"


def _documentation(card: ModelCard) -> str:
    known = description(card)
    rows = [(name, text) for name, text in known.items() if name != "card" and text]
    lines = [f"# {card.name}", "", card.description, "", "| | |", "|---|---|"]
    lines += [f"| {name.replace('_', ' ')} | {text.replace('|', '/')} |" for name, text in rows]
    lines += [
        "",
        "# Validation",
        "",
        "The test image is a simulated lattice with counting noise. The maps of the ONNX weights "
        "were compared with those of PyTorch when the package was written.",
        "",
    ]
    return "\n".join(lines)
