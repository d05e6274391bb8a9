"""From what a user calls a model to its file."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_atomseg.progress import CancelToken, Progress
from napari_atomseg.weights.folders import BUNDLED, models_folder
from napari_atomseg.weights.own import own_models
from napari_atomseg.weights.registry import Entry, describe, read_registry, sha256

if TYPE_CHECKING:
    import pandas as pd

DEFAULT = "stem-hr"
"""The model that is used where none is named."""

_COLUMNS = (
    "name",
    "tasks",
    "modality",
    "size",
    "bundled",
    "downloaded",
    "scores",
    "licence",
    "description",
)


def models() -> pd.DataFrame:
    """The models that can be used by name.

    Returns
    -------
    A row each, with `name`, `tasks` (names, in the order of the channels), `modality`, `size`
    (bytes), `bundled` and `downloaded` (whether its file is here), `scores` (dict), `licence` and
    `description`. Files that you put into the models folder are listed under their file's name.
    """
    import pandas as pd

    registry = read_registry()
    entries = list(registry.values())
    for name, path in own_models(registry).items():
        try:
            entries.append(describe(path).model_copy(update={"name": name}))
        except (OSError, ValueError) as error:
            warnings.warn(f"model file left out: {error}", stacklevel=2)
    return pd.DataFrame([_row(entry) for entry in entries], columns=list(_COLUMNS))


def resolve(
    model: str | Path | None = None,
    *,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> Path:
    """The weights file of a model, downloaded if need be.

    Parameters
    ----------
    model : a name that `models` lists, the path of a .safetensors file, or None for `DEFAULT`.

    Raises
    ------
    ValueError
        The name is not known; the message lists those that are.
    WeightsError
        The path does not exist, the download failed, or a file has not its registered SHA-256.
    Cancelled
        `cancel` was raised during a download.
    """
    if isinstance(model, Path) or (model and model.endswith(".safetensors")):
        return _existing(Path(model).expanduser())
    name = DEFAULT if model is None else model
    registry = read_registry()
    if name in registry:
        return _published(registry[name], progress, cancel)
    own = own_models(registry)
    if name in own:
        return own[name]
    raise ValueError(
        f"model={name!r} is not known; choose one of {', '.join([*registry, *own])}, "
        "or give the path of a .safetensors file"
    )


def _row(entry: Entry) -> dict[str, Any]:
    bundled = (BUNDLED / entry.file).is_file()
    return {
        **entry.model_dump(include={*_COLUMNS}),
        "bundled": bundled,
        "downloaded": bundled or (models_folder() / entry.file).is_file(),
    }


def _existing(path: Path) -> Path:
    from napari_atomseg.networks.card import WeightsError

    if not path.is_file():
        raise WeightsError(f"{path}: no such weights file")
    return path


def _published(entry: Entry, progress: Progress | None, cancel: CancelToken | None) -> Path:
    from napari_atomseg.networks.card import WeightsError

    bundled = BUNDLED / entry.file
    if bundled.is_file():
        if sha256(bundled) != entry.sha256:
            raise WeightsError(f"{bundled}: damaged (wrong SHA-256); install the package anew")
        return bundled
    from napari_atomseg.weights.download import download

    return download(entry, models_folder(), progress, cancel)
