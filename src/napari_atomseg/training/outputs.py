"""The files that a training writes, checked before it starts: they replace nothing but its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from napari_atomseg._shared.files import only_writer
from napari_atomseg._shared.outputs import check_outputs
from napari_atomseg.training.recipe import TrainingRecipe

_FIRST = "step,loss,"
"""What the table of losses begins with."""


@dataclass(frozen=True)
class Outputs:
    """The files of a training.

    Attributes
    ----------
    weights : as the caller named it; the others lie beside it.
    """

    weights: Path

    @property
    def checkpoint(self) -> Path:
        """The state from which an interrupted training goes on."""
        return self.weights.with_suffix(".checkpoint")

    @property
    def losses(self) -> Path:
        """The table of losses and scores."""
        return self.weights.with_suffix(".csv")

    def alone(self) -> AbstractContextManager[None]:
        """No other process trains into these files meanwhile.

        Raises
        ------
        OSError
            One does.
        """
        return only_writer(self.weights.with_name(f".{self.weights.name}.lock"), self.weights)

    def __iter__(self) -> Iterator[Path]:
        return iter((self.weights, self.checkpoint, self.losses))

    def check(self, recipe: TrainingRecipe, file: Path | None = None) -> None:
        """Make the folder, and refuse to train where a file would be lost.

        Parameters
        ----------
        file : of the recipe, where it has one.

        Raises
        ------
        ValueError
            The training reads one of these files, or one that is there is of another kind.
        OSError
            They cannot be written.
        """
        read = [each for path in _paths(recipe.model_dump()) for each in _files(path)]
        if file is not None:
            read.append(file)
        check_outputs(self, read)
        self.weights.parent.mkdir(parents=True, exist_ok=True)
        for path in (self.weights, self.losses):  # of a damaged checkpoint, the loader says so
            if path.exists() and not self._ours(path):
                raise ValueError(
                    f"{path}: this file was not written by a training; name another output"
                )

    def _ours(self, path: Path) -> bool:
        if path == self.losses:
            with path.open("rb") as file:
                return file.read(len(_FIRST)) in (_FIRST.encode(), b"")
        try:
            with safe_open(path, "pt"):
                return True
        except SafetensorError:
            # What is damaged can be told from a file of another kind by its first bytes, the
            # length of a header, and the header.
            with path.open("rb") as file:
                begin = file.read(9)
            return not begin or begin[8:] == b"{"


def _paths(value: Any) -> Iterator[Path]:
    """All paths in the values of a recipe."""
    if isinstance(value, Path):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _paths(each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _paths(each)


def _files(path: Path) -> Iterator[Path]:
    """A file, or those in a folder."""
    if path.is_dir():
        yield from (each for each in path.iterdir() if each.is_file())
    else:
        yield path
