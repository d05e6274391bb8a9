"""The registry of the published models, `registry.json`: read and written."""

from __future__ import annotations

import json
import math
import os
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from napari_atomseg._shared.files import package_version, sha256, whole_file

REGISTRY = Path(__file__).with_name("registry.json")

DEFAULT = "stem-hr"
"""Name of the default model, which the package contains."""

MIRRORS_VARIABLE = "NAPARI_ATOMSEG_MIRRORS"
"""Environment variable with addresses of folders, separated by spaces, that are tried first."""

LARGEST_PUBLISHED = 16 * 10**6
"""Largest size of a published file, bytes."""

SUFFIX = ".safetensors"
NAME = r"[^\W_]([\w .+-]{0,98}[\w+-])?"
"""Pattern of model names, which are names of files on every system."""


class Entry(BaseModel):
    """One published model; its file is named `name` + ".safetensors"."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=f"^{NAME}$")
    description: str
    tasks: tuple[str, ...]
    modality: str
    sampling_range: tuple[float, float] | None
    spacing_range: tuple[float, float] | None
    architecture: str
    parameters: int = Field(ge=0)
    licence: str
    citation: str = ""
    source: str = ""
    size: int = Field(gt=0)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    urls: tuple[str, ...] = ()
    scores: dict[str, float]
    steps: int
    recipe: dict[str, Any]

    @property
    def file(self) -> str:
        """Name of the model's file."""
        return f"{self.name}{SUFFIX}"

    @property
    def partial(self) -> str:
        """Name of the file that keeps an unfinished download."""
        return f".{self.name}-{self.sha256[:12]}.partial"


class Registry(BaseModel):
    """Content of the file.

    `mirrors` are addresses of folders that hold every published file, in which ``{version}``
    stands for the version of the package; an entry's own `urls` are tried before them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    mirrors: tuple[str, ...] = ()
    models: tuple[Entry, ...] = ()


def read_registry(path: Path = REGISTRY) -> dict[str, Entry]:
    """The published models by name, each with the addresses of its file in order of preference."""
    registry = load_registry(path)
    first = _folders(os.environ.get(MIRRORS_VARIABLE, "").split())
    last = _folders(mirror.format(version=package_version()) for mirror in registry.mirrors)
    return {entry.name: _addressed(entry, first, last) for entry in registry.models}


def load_registry(path: Path = REGISTRY) -> Registry:
    """The registry as stored in the file."""
    state = path.stat()
    return _parsed(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=4)
def _parsed(path: Path, modified: int, size: int) -> Registry:
    """A file that was read is kept; a changed one is read anew (`modified`, `size`)."""
    return Registry.model_validate_json(path.read_text(encoding="utf-8"))


def describe(path: str | Path, name: str | None = None) -> Entry:
    """Registry entry of a weights file, from its card and its bytes.

    Parameters
    ----------
    name : name of the model; by default that of its card.

    Raises
    ------
    WeightsError
        The file is not one of this package.
    ValueError
        The name cannot be that of a file.
    """
    from safetensors import safe_open

    from napari_atomseg.networks.card import read_card

    card = read_card(path)
    fields = card.model_dump(include=set(Entry.model_fields)) | {"name": name or card.name}
    with safe_open(path, framework="numpy") as file:
        shapes = [file.get_slice(key).get_shape() for key in list(file.keys())]
    return Entry(
        **fields,
        parameters=sum(map(math.prod, shapes)),
        size=Path(path).stat().st_size,
        sha256=sha256(path),
    )


def rebuilt_registry(registry: Registry, folder: Path) -> Registry:
    """Rebuild the registry from the weights files in a folder; mirrors and addresses are kept.

    Raises
    ------
    WeightsError
        A file is not one of this package, or its tensors do not fit its architecture.
    ValueError
        A file is too large to be published, or its card has another name than the file.
    """
    known = {entry.name: entry.urls for entry in registry.models}
    entries = [_publishable(path) for path in folder.glob(f"*{SUFFIX}")]
    entries.sort(key=lambda entry: (entry.name != DEFAULT, entry.name))
    models = [e.model_copy(update={"urls": known.get(e.name, ())}) for e in entries]
    return registry.model_copy(update={"models": tuple(models)})


def write_registry(registry: Registry, path: Path = REGISTRY) -> None:
    """Write the registry, a value a line, so that version control shows changes well."""
    text = json.dumps(registry.model_dump(mode="json"), indent=1) + "\n"
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


def _publishable(path: Path) -> Entry:
    from napari_atomseg.networks.files import load_weights

    load_weights(path)
    entry = describe(path)
    if entry.name != path.stem:
        raise ValueError(f"{path}: its card has the name {entry.name!r}; rename the file")
    if entry.size > LARGEST_PUBLISHED:
        raise ValueError(f"{path}: {entry.size} bytes, more than the {LARGEST_PUBLISHED} allowed")
    return entry


def _folders(addresses: Any) -> list[str]:
    return [address.rstrip("/") for address in addresses]


def _addressed(entry: Entry, first: list[str], last: list[str]) -> Entry:
    before, after = ([f"{folder}/{entry.file}" for folder in group] for group in (first, last))
    return entry.model_copy(update={"urls": (*before, *entry.urls, *after)})
