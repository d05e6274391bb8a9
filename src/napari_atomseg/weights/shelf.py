"""Files of models: into the cache folder, out of it, and away."""

from __future__ import annotations

import shutil
from pathlib import Path

from napari_atomseg.io.atomic import whole_file
from napari_atomseg.weights.find import find_file
from napari_atomseg.weights.folders import downloads_folder, shipped_folders
from napari_atomseg.weights.own import add_model, own_models
from napari_atomseg.weights.registry import SUFFIX, Entry, read_registry, sha256


def import_model(path: str | Path, name: str | None = None) -> str:
    """Copy a weights file into the cache folder, and return the name that stands for it.

    A file with the SHA-256 of a published model takes the place of its download; any other one
    becomes a model of the user's own.

    Parameters
    ----------
    name : of a model of one's own; by default that of the file.

    Raises
    ------
    WeightsError
        It is not a weights file of this package, or it is damaged.
    ValueError
        The name is taken, or cannot be that of a file.
    """
    from napari_atomseg.networks.files import load_weights

    path = Path(path).expanduser()
    load_weights(path)
    digest = sha256(path)
    for entry in read_registry().values():
        if entry.sha256 == digest:
            _take(path, entry)
            return entry.name
    return add_model(path, name).stem


def export_model(name: str, path: str | Path) -> Path:
    """Copy a model that is here to a file; an interrupted copy leaves nothing.

    Raises
    ------
    ValueError
        There is no such model, or it is not downloaded.
    """
    source = find_file(name)
    if source is None:
        raise ValueError(f"model {name!r} is not downloaded")
    target = Path(path).with_suffix(SUFFIX)
    with whole_file(target) as partial:
        shutil.copyfile(source, partial)
    return target


def remove_model(name: str) -> None:
    """Delete a model of the user's own, or the download of a published one, finished or not.

    Raises
    ------
    ValueError
        The model came with the package, or there is nothing of it to delete.
    """
    entry = read_registry().get(name)
    if entry is None:
        _remove_own(name)
    elif any((folder / entry.file).is_file() for folder in shipped_folders()):
        raise ValueError(f"model {name!r} comes with the package and stays")
    else:
        _remove_download(entry)


def _take(path: Path, entry: Entry) -> None:
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
