"""What is compared: anything that restores an image or finds its columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import pandas as pd

from napari_atomseg._shared.types import Image
from napari_atomseg.evaluation.case import Case, Dataset


@dataclass(frozen=True)
class Outcome:
    """What a method makes of a case, each part None where the method gives none.

    Attributes
    ----------
    restored : (H, W) image.
    columns : table with ``y`` and ``x`` in pixels, and whatever else `localize` gives; with
        ``species``, their names, where the method tells species.
    """

    restored: Image | None = None
    columns: pd.DataFrame | None = None


class Method(Protocol):
    """Anything that restores images or finds columns, under a name of its own."""

    @property
    def name(self) -> str:
        """What tables call it."""
        ...

    def __call__(self, case: Case) -> Outcome:
        """Apply it; the truth of the case is not looked at."""
        ...


@runtime_checkable
class Mapper(Protocol):
    """A method with more tasks than one restored image and one table of columns."""

    def maps(self, case: Case) -> dict[str, Image]:
        """A map for each further task whose truth the case knows, see `tasks.TRUTH`."""
        ...


@dataclass(frozen=True)
class Results:
    """Everything measured in a run.

    Attributes
    ----------
    cases, columns : as `summarize` takes them.
    tasks : as `summarize_tasks` takes them.
    datasets, methods : what was run; the first `models` methods are no baselines.
    """

    cases: pd.DataFrame
    columns: pd.DataFrame
    tasks: pd.DataFrame
    datasets: Sequence[Dataset]
    methods: Sequence[Method]
    models: int
