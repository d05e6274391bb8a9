"""Models that come from elsewhere or go there: imported and exported."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Literal, get_args

from napari_atomseg._shared.files import sha256, whole_file
from napari_atomseg.progress import CancelToken, Progress
from napari_atomseg.weights.catalogue import find_file, install
from napari_atomseg.weights.foreign import import_foreign, known
from napari_atomseg.weights.foreign.atomsegnet import SUFFIX as PICKLED
from napari_atomseg.weights.registry import SUFFIX, read_registry
from napari_atomseg.weights.store import add_model, free_name

Format = Literal["weights", "onnx", "bioimageio"]
"""Formats of exported models: the weights file itself, a graph, or a package of bioimage.io."""
SUFFIXES: dict[Format, str] = {"weights": SUFFIX, "onnx": ".onnx", "bioimageio": ".zip"}
"""End of the file of each format."""


def import_model(path: str | Path, name: str | None = None) -> str:
    """Copy a weights file into the cache folder and return the name of the model.

    A file with the SHA-256 of a published model takes the place of its download; a `.pth` file of
    AtomSegNet, recognized by its name, is converted, and so is the `.zip` file of a model package
    of bioimage.io that has a network of this package; any other one becomes a model of the user's
    own.

    Parameters
    ----------
    name : name of a model of your own; by default that of the file, or of a package's card.

    Raises
    ------
    WeightsError
        It is not a weights file of this package, or it is damaged. Of a package: its weights are
        none of this package's networks; nothing in it is run.
    ValueError
        The name is taken, or cannot be that of a file.
    """
    from napari_atomseg.networks.files import load_weights

    path = Path(path).expanduser()
    if path.suffix.lower() == PICKLED:
        return _import_pickled(path)
    if path.suffix.lower() == SUFFIXES["bioimageio"]:
        return _import_package(path, name)
    load_weights(path)
    digest = sha256(path)
    for entry in read_registry().values():
        if entry.sha256 == digest:
            install(path, entry)
            return entry.name
    return add_model(path, name).stem


def _import_package(path: Path, name: str | None) -> str:
    from napari_atomseg.networks.files import save_weights, survives_half
    from napari_atomseg.weights.exports.imports import read_package

    network, card = read_package(path)
    target = free_name(card.name if name is None else name)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / target.name
        save_weights(file, network, card, half=survives_half(network))
        return add_model(file, target.stem).stem


def _import_pickled(path: Path) -> str:
    from napari_atomseg.networks.card import WeightsError

    published = known(path.name)
    if published is None:
        raise WeightsError(
            f"{path}: not the name of a file of AtomSegNet; say which network it is, as in "
            f"napari-atomseg models import atomsegnet-denoise {path.name}"
        )
    return import_foreign(published.name, path)


def export_model(
    name: str,
    path: str | Path,
    format: Format = "weights",
    *,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> Path:
    """Write a model that is on this machine to a file; an interrupted export leaves nothing.

    Parameters
    ----------
    name : a name that `models` lists, of a shipped, imported or trained model.
    path : of the file, which gets the suffix of the format.
    format : "weights" copies the weights file. "onnx" writes a graph for ONNX runtimes, and
        "bioimageio" a model package of bioimage.io; both are compared with torch, and need the
        extra ``export``. See `weights.exports.graph`.
    progress, cancel : see `napari_atomseg.progress`.

    Returns
    -------
    Path of the file.

    Raises
    ------
    ImportError
        The extra ``export`` is not installed.
    ValueError
        There is no such model or format, it is not downloaded, or the exported model is not equal.
    WeightsError
        The model's file is damaged.
    Cancelled
        `cancel` was raised.
    """
    if format not in get_args(Format):
        raise ValueError(f"format={format!r}: choose one of {', '.join(get_args(Format))}")
    source = find_file(name)
    if source is None:
        raise ValueError(f"model {name!r} is not downloaded")
    target = with_ending(path, SUFFIXES[format])
    if format != "weights":
        from napari_atomseg.weights.exports.graph import finished, write_onnx
        from napari_atomseg.weights.exports.package import write_package

        write = write_onnx if format == "onnx" else write_package
        model, card = finished(source)
        write(target, model, card.model_copy(update={"name": name}), progress, cancel)
        return target
    with whole_file(target) as partial:
        shutil.copyfile(source, partial)
    return target


def with_ending(path: str | Path, ending: str) -> Path:
    """The path with the end of a format, in place of that of another one."""
    path = Path(path).expanduser()
    if path.suffix.lower() in SUFFIXES.values():
        return path.with_suffix(ending)
    return path.with_name(f"{path.name}{ending}")
