"""The published models: what `registry.json` says of them, and how it is written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

REGISTRY = Path(__file__).with_name("registry.json")


class Entry(BaseModel):
    """One published model; its file is named `name` + ".safetensors"."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    description: str
    tasks: tuple[str, ...]
    modality: str
    sampling_range: tuple[float, float] | None
    spacing_range: tuple[float, float]
    licence: str
    size: int = Field(gt=0)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    urls: tuple[str, ...] = ()
    scores: dict[str, float]
    recipe: dict[str, Any]

    @property
    def file(self) -> str:
        """Name of the model's file."""
        return f"{self.name}.safetensors"


def read_registry(path: Path = REGISTRY) -> dict[str, Entry]:
    """The published models by name, in the order of the registry."""
    entries = [Entry.model_validate(each) for each in json.loads(path.read_text(encoding="utf-8"))]
    return {entry.name: entry for entry in entries}


def sha256(path: str | Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def describe(path: str | Path, urls: Iterable[str] = ()) -> Entry:
    """The registry's entry of a weights file, from its card and its bytes.

    Raises
    ------
    WeightsError
        The file is not one of this package.
    """
    from napari_atomseg.networks.card import read_card

    card = read_card(path)
    fields = card.model_dump(include=set(Entry.model_fields))
    size = Path(path).stat().st_size
    return Entry(**fields, size=size, sha256=sha256(path), urls=tuple(urls))


def register(path: str | Path, urls: Iterable[str] = (), registry: Path = REGISTRY) -> Entry:
    """Add a weights file to the registry, or renew its entry; known addresses are kept."""
    entries = read_registry(registry) if registry.exists() else {}
    entry = describe(path, urls)
    known = entries.get(entry.name)
    if known and not entry.urls:
        entry = entry.model_copy(update={"urls": known.urls})
    entries[entry.name] = entry
    content = [each.model_dump(mode="json") for each in entries.values()]
    registry.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return entry
