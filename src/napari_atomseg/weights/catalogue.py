"""All models by name: listed, found as files, downloaded and removed."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_atomseg._shared.files import sha256, whole_file
from napari_atomseg.progress import CancelToken, Progress
from napari_atomseg.weights.foreign import (
    Foreign,
    downloadable,
    foreign_entry,
    foreign_models,
)
from napari_atomseg.weights.registry import DEFAULT, SUFFIX, Entry, describe, read_registry
from napari_atomseg.weights.store import (
    downloads_folder,
    models_folder,
    own_models,
    shipped_folders,
)

if TYPE_CHECKING:
    import pandas as pd


_CARD = {
    "tasks",
    "modality",
    "sampling_range",
    "spacing_range",
    "scores",
    "licence",
    "description",
}
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
    "own",
    "sampling_range",
    "spacing_range",
    "foreign",
)


def models() -> pd.DataFrame:
    """The models that can be used by name.

    Returns
    -------
    A row each, with `name`, `tasks` (names, in the order of the channels), `modality`, `size`
    (bytes), `bundled` (came with the package or its repository), `downloaded` (its file is here),
    `scores` (dict), `licence`, `description`, `own` (the user's), `sampling_range` (Å per pixel)
    and `spacing_range` (pixels a column spacing) of the training, None where it does not matter,
    and `foreign` (others published it, see `import_foreign`). Files that you put into the models
    folder are listed under their file's name.
    """
    import pandas as pd

    return pd.DataFrame(_rows(), columns=list(_COLUMNS))


def _rows() -> list[dict[str, Any]]:
    """The rows of `models`."""
    registry = read_registry()
    rows = [_published_row(entry) for entry in registry.values()]
    for name, path in own_models(registry).items():
        try:
            rows.append(_own_row(name, path))
        except (OSError, ValueError) as error:
            warnings.warn(f"model file left out: {error}", stacklevel=3)
    known = {row["name"] for row in rows}
    rows += [_row_to_import(each) for name, each in downloadable().items() if name not in known]
    return rows


def models_for(tasks: Collection[str]) -> list[str]:
    """Names of the models that can do all these tasks, the default first if it is one of them.

    Models that others published are among them once they are imported.
    """
    from napari_atomseg.networks.tasks import predictable

    usable = [row for row in _rows() if row["downloaded"] or not row["foreign"]]
    able = [row["name"] for row in usable if set(tasks) <= set(predictable(row["tasks"]))]
    return sorted(able, key=lambda name: name != DEFAULT)


def model_entry(name: str) -> Entry:
    """Entry of a model: from the registry for a published one, else from its card.

    Raises
    ------
    ValueError
        The name is not known.
    WeightsError
        The file of a model of the user's own is damaged.
    """
    registry = read_registry()
    if name in registry:
        return registry[name]
    if name in downloadable() and name not in own_models(registry):
        return foreign_entry(name)
    return describe(_own(name, registry), name)


def find_file(name: str) -> Path | None:
    """The file of a model on this machine; None where it must be downloaded or imported.

    Raises
    ------
    ValueError
        The name is not known.
    WeightsError
        The file that came with the package is damaged.
    """
    registry = read_registry()
    if name in downloadable() and name not in own_models(registry):
        return None
    return _local_file(registry[name]) if name in registry else _own(name, registry)


def resolve(
    model: str | Path | None = None,
    *,
    tasks: Collection[str] = (),
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> Path:
    """The weights file of a model, downloaded if need be.

    Parameters
    ----------
    model : a name that `models` lists, the path of a .safetensors file, or None for `DEFAULT`.
    tasks : tasks the model is needed for; named in the message of an error.

    Raises
    ------
    ValueError
        The name is not known; the message lists the models that can do the tasks.
    WeightsError
        The path does not exist, the download failed, or a file has another SHA-256.
    Cancelled
        `cancel` was raised during a download.
    """
    if isinstance(model, Path) or (model and model.endswith(SUFFIX)):
        return _existing(Path(model).expanduser())
    name = DEFAULT if model is None else model
    registry = read_registry()
    here = _local_file(registry[name]) if name in registry else _own(name, registry, tasks)
    if here is not None:
        return here
    return download_model(registry[name], downloads_folder(), progress, cancel)


def download_model(
    entry: Entry,
    folder: Path,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> Path:
    """Download a published model into a folder; see `download` for interrupted ones.

    Raises
    ------
    WeightsError
        No address gave a file with the registered SHA-256, or the folder cannot hold it; the
        message has the answer of each address.
    Cancelled
        `cancel` was raised; a later call continues.
    """
    from napari_atomseg._shared.download import DownloadError, download
    from napari_atomseg.networks.card import WeightsError

    try:
        return download(
            entry.urls,
            folder / entry.file,
            sha256=entry.sha256,
            size=entry.size,
            partial=folder / entry.partial,
            message=f"downloading {entry.name}",
            progress=progress,
            cancel=cancel,
        )
    except DownloadError as error:
        raise WeightsError(
            f"model {entry.name!r} could not be downloaded ({error}); fetch {entry.file} by any "
            f"other way and import it, or put it into {folder}"
        ) from error
    except OSError as error:
        raise WeightsError(
            f"model {entry.name!r} could not be written to {folder} ({error})"
        ) from error


def choice(tasks: Collection[str] = ()) -> str:
    """Advice for an error message: the models that can do these tasks."""
    able = models_for(tasks)
    file = f"the path of a {SUFFIX} file"
    if able:
        return f"choose one of {', '.join(able)}, or give {file}"
    return f"no model here can do {' and '.join(tasks)}: give {file}"


def _published_row(entry: Entry) -> dict[str, Any]:
    bundled = any((folder / entry.file).is_file() for folder in shipped_folders())
    fetched = any((folder / entry.file).is_file() for folder in _download_folders())
    about = entry.model_dump(include={"name", "size", *_CARD})
    place = {"bundled": bundled, "downloaded": bundled or fetched, "own": False}
    return {**about, **place, "foreign": False}


def _row_to_import(model: Foreign) -> dict[str, Any]:
    about = model.card.model_dump(include=_CARD) | {"name": model.name, "size": model.size}
    return {**about, "bundled": False, "downloaded": False, "own": False, "foreign": True}


def _own_row(name: str, path: Path) -> dict[str, Any]:
    from napari_atomseg.networks.card import read_card

    card = read_card(path)
    about = card.model_dump(include=_CARD)
    place = {"bundled": False, "downloaded": True, "own": True}
    place["foreign"] = name in foreign_models() and bool(card.source)
    return {"name": name, "size": path.stat().st_size, **about, **place}


def _own(name: str, published: dict[str, Entry], tasks: Collection[str] = ()) -> Path:
    own = own_models(published)
    if name not in own and name in foreign_models():
        raise ValueError(
            f"model={name!r} was published by others and is not imported yet: use "
            f"napari-atomseg models import {name}, or the Models panel"
        )
    if name not in own:
        raise ValueError(f"model={name!r} is not known; {choice(tasks)}")
    return own[name]


def _existing(path: Path) -> Path:
    from napari_atomseg.networks.card import WeightsError

    if not path.is_file():
        raise WeightsError(f"{path}: no such weights file")
    return path


def _local_file(entry: Entry) -> Path | None:
    from napari_atomseg.networks.card import WeightsError

    for folder in shipped_folders():
        shipped = folder / entry.file
        if shipped.is_file():
            if sha256(shipped) != entry.sha256:
                raise WeightsError(
                    f"{shipped}: not the file of the registry (wrong SHA-256); reinstall the "
                    "package, or check the file out again in a clone"
                )
            return shipped
    for folder in _download_folders():
        path = folder / entry.file
        if path.is_file() and sha256(path) == entry.sha256:
            return path
    return None


def _download_folders() -> tuple[Path, Path]:
    """Folders of downloads, and of files that were put there by hand."""
    return downloads_folder(), models_folder()


def remove_model(name: str) -> None:
    """Delete a model of the user's own, or the download of a published one, finished or not.

    Raises
    ------
    ValueError
        The model came with the package, or has no file to delete.
    """
    entry = read_registry().get(name)
    if entry is None:
        _remove_own(name)
    elif any((folder / entry.file).is_file() for folder in shipped_folders()):
        raise ValueError(f"model {name!r} comes with the package and stays")
    else:
        _remove_download(entry)


def install(path: Path, entry: Entry) -> None:
    """Copy the file of a published model to where its download would be."""
    folder = downloads_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with whole_file(folder / entry.file) as partial:
        shutil.copyfile(path, partial)
    (folder / entry.partial).unlink(missing_ok=True)


def _remove_download(entry: Entry) -> None:
    files = [downloads_folder() / name for name in (entry.file, entry.partial)]
    files = [file for file in files if file.is_file()]
    if not files:
        raise ValueError(f"model {entry.name!r} is not downloaded")
    for file in files:
        file.unlink()


def _remove_own(name: str) -> None:
    own = own_models()
    if name not in own:
        known = ", ".join(own) or "there are none"
        raise ValueError(f"{name!r} is not one of your models ({known})")
    own[name].unlink()
