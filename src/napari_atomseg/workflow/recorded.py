"""The image that a chain of results begins with, as their records describe it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_atomseg._shared.types import Sampling
from napari_atomseg.alignment.settings import NOISE

Record = Mapping[str, Any]
"""What `io.provenance` writes: action, settings, model, and what it was made of (``inputs``)."""
Described = Mapping[str, Any]
"""An image or table as `io.inputs` describes it: name, file, hash, and its record."""


@dataclass(frozen=True)
class Recorded:
    """The image that a chain begins with.

    Attributes
    ----------
    name : of the layer or file.
    file, dataset, frame : where it was read from, see `io.read_image`; None without a file.
    sampling : Å per pixel that the file states.
    sha256 : digest of its pixels, see `io.inputs`.
    shape : of its pixels.
    noise : whether its record says how far pixels share their noise, as of averages.
    problem : why the file does not give these pixels; empty where it does.
    """

    name: str
    file: Path | None
    dataset: int | str | None
    frame: int | None
    sampling: Sampling | None
    sha256: str
    shape: tuple[int, ...]
    noise: bool
    problem: str

    @classmethod
    def of(cls, described: Described) -> Recorded:
        """Take the image from its description."""
        record = described.get("record") or {}
        file = described.get("file")
        return cls(
            str(described["name"]),
            None if file is None else Path(file),
            described.get("dataset"),
            described.get("frame"),
            as_pair(described.get("sampling")),
            str(described["sha256"]),
            tuple(described["shape"]),
            NOISE in record,
            _not_in_its_file(described),
        )

    @property
    def words(self) -> str:
        """The image in a line: where it is from, its size and its scale."""
        where = repr(self.name) if self.file is None else str(self.file.name)
        parts = [] if self.dataset is None else [f"data set {self.dataset!r}"]
        parts += [] if self.frame is None else [f"frame {self.frame}"]
        parts.append(f"{' × '.join(map(str, self.shape))} pixels")
        if self.sampling is not None:
            size = self.sampling
            text = f"{size[0]:.5g} × {size[1]:.5g}" if isinstance(size, tuple) else f"{size:.5g}"
            parts.append(f"{text} Å per pixel")
        parts += [] if not self.problem else [self.problem]
        return f"{where}: {', '.join(parts)}"


def changed(described: Described) -> bool:
    """Whether pixels or positions are others than the record is of."""
    known = (described.get("record") or {}).get("result")
    return known is not None and known != described.get("sha256", known)


def _not_in_its_file(described: Described) -> str:
    record = described.get("record") or {}
    opened = described.get("opened")
    other = opened is not None and opened != described["sha256"]
    if other or ("file" not in described and changed(described)):
        return "changed by hand since it was opened"
    if "channel" in described:
        return f"detector {described['channel']} of the data set"
    if "file" not in described:
        how = {"simulate": "simulated", "download": "downloaded"}.get(record.get("action", ""), "")
        return f"{how or 'made here'}, in no file"
    return ""


def alike(one: Sampling | None, other: Sampling | None) -> bool:
    """Whether two samplings are one, but for the digits that formats of files drop."""
    if one is None or other is None:
        return one is other
    return bool(np.allclose(np.broadcast_to(one, 2), np.broadcast_to(other, 2), rtol=1e-6, atol=0))


def as_pair(sampling: Any) -> Sampling | None:
    """A sampling as the functions take it; JSON has lists."""
    return (sampling[0], sampling[1]) if isinstance(sampling, (list, tuple)) else sampling
