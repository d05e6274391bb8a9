"""Folders of models, and the files of the user's own models by name."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any

import platformdirs

from napari_atomseg._shared.files import whole_file
from napari_atomseg.weights.registry import NAME, SUFFIX, read_registry

CACHE_VARIABLE = "NAPARI_ATOMSEG_CACHE"
"""Environment variable that sets the cache folder; read at each use."""

BUNDLED = Path(__file__).parent / "files"
"""Models in an installed package."""

_REPOSITORY = Path(__file__).parents[3]


def clone_folder() -> Path | None:
    """The folder `models` of the repository, if the package runs from a clone of it."""
    folder = _REPOSITORY / "models"
    is_clone = (_REPOSITORY / "pyproject.toml").is_file() and folder.is_dir()
    return folder if is_clone else None


def shipped_folders() -> list[Path]:
    """Folders of models that came with the package or its repository; read only."""
    clone = clone_folder()
    return [BUNDLED] if clone is None else [BUNDLED, clone]


def cache_folder() -> Path:
    """The folder of downloaded files, which may not exist yet."""
    moved = os.environ.get(CACHE_VARIABLE)
    if moved:
        return Path(moved).expanduser()
    return platformdirs.user_cache_path("napari-atomseg", appauthor=False)


def models_folder() -> Path:
    """The folder of the user's own models, and of published ones copied there by hand."""
    return cache_folder() / "models"


def downloads_folder() -> Path:
    """The folder of downloaded models, apart from the user's own."""
    return models_folder() / "published"


_LENGTH = 8
"""Bytes of the length that a safetensors file begins with, little endian; its JSON header is
padded to a multiple of them."""


def own_models(published: Container[str] | None = None) -> dict[str, Path]:
    """Files of the user's own models by name, sorted.

    Files named like a published model are left out, as are those with an invalid name, such as the
    hidden files of some systems.
    """
    published = read_registry() if published is None else published
    files = sorted(models_folder().glob(f"*{SUFFIX}"))
    names = {path.stem: path for path in files if re.fullmatch(NAME, path.stem)}
    return {name: path for name, path in names.items() if name not in published}


def free_name(name: str, *, replace: bool = False) -> Path:
    """Path for a new model of a name.

    Parameters
    ----------
    replace : accept the name of one of the user's models, which will be overwritten.

    Raises
    ------
    ValueError
        The name cannot be that of a file, or it is taken.
    """
    if not re.fullmatch(NAME, name):
        raise ValueError(
            f"name={name!r} must begin with a letter or digit, and have letters, digits, spaces, "
            "'.', '_', '+' and '-' only"
        )
    if name in read_registry():
        raise ValueError(f"name={name!r} is the name of a published model: choose another")
    if name in own_models() and not replace:
        raise ValueError(f"there is a model {name!r} already: choose another name, or remove it")
    return models_folder() / f"{name}{SUFFIX}"


def add_model(path: str | Path, name: str | None = None, *, replace: bool = False) -> Path:
    """Copy a weights file into the models folder under a name.

    Parameters
    ----------
    name : name of the model; by default that of the file.
    replace : overwrite a model of that name.

    Raises
    ------
    WeightsError
        It is not a weights file of this package.
    ValueError
        The name is taken, or cannot be that of a file.
    """
    target = free_name(Path(path).stem if name is None else name, replace=replace)
    target.parent.mkdir(parents=True, exist_ok=True)
    _write(target, *_changed(Path(path), name=target.stem))
    return target


def rename_model(name: str, new: str) -> Path:
    """Give one of the user's models another name, in its card too.

    Raises
    ------
    ValueError
        There is no such model, or the new name is taken or cannot be that of a file.
    """
    source, target = _own(name), free_name(new)
    _write(target, *_changed(source, name=new))
    source.unlink()
    return target


def set_scores(path: str | Path, scores: Mapping[str, float]) -> None:
    """Add scores to the card of a weights file, in place of those of the same names.

    Raises
    ------
    WeightsError
        It is not a weights file of this package.
    """
    from napari_atomseg.networks.card import read_card

    known = read_card(path).scores
    _write(Path(path), *_changed(Path(path), scores={**known, **scores}))


def _own(name: str) -> Path:
    models = own_models()
    if name not in models:
        known = ", ".join(models) or "there are none"
        raise ValueError(f"{name!r} is not one of your models ({known})")
    return models[name]


def _changed(path: Path, **fields: Any) -> tuple[bytes, bytes]:
    """Header and tensors of a weights file, with other values on its card."""
    from napari_atomseg.networks.card import HEADER, read_card

    card = read_card(path).model_copy(update=fields)
    content = path.read_bytes()
    end = _LENGTH + int.from_bytes(content[:_LENGTH], "little")
    header = json.loads(content[_LENGTH:end])
    header["__metadata__"][HEADER] = card.model_dump_json()
    text = json.dumps(header).encode()
    return text.ljust(-(-len(text) // _LENGTH) * _LENGTH), content[end:]


def _write(path: Path, header: bytes, tensors: bytes) -> None:
    with whole_file(path) as partial:
        partial.write_bytes(len(header).to_bytes(_LENGTH, "little") + header + tensors)
