"""Model cards: the description in the header of a weights file, read without PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError, safe_open

HEADER = "napari_atomseg"
"""Key of the card, as JSON, in the safetensors metadata."""

LARGEST_FILE = 2**30
"""Largest file that is opened, bytes."""

LARGEST_CARD = 2**22
"""Largest card that is parsed, characters."""


class WeightsError(OSError):
    """A weights file that cannot be used; the message names it and the reason."""


class ModelCard(BaseModel):
    """Description of a model, stored in its weights file.

    `tasks` names the output channels in order, `species` those of the task `elements`;
    `sampling_range` (Å per pixel) and `spacing_range`
    (pixels between columns) are the ranges of the training, None where they do not matter; `recipe`
    is the whole training recipe. `normalisation` is one of `networks.schemes.SCHEMES`. A network
    that `sees` images "as recorded" gets nothing else; for others dark columns are inverted, and
    marks and hot pixels filled. `source` and `citation` are of weights that others published.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="constants")

    schema_version: Literal[1] = 1
    name: str = Field(min_length=1)
    architecture: str
    arguments: dict[str, Any] = {}
    tasks: tuple[str, ...] = Field(min_length=1)
    species: tuple[str, ...] = ()
    normalisation: str
    sees: Literal["prepared", "as recorded"] = "prepared"
    modality: str = "STEM"
    sampling_range: tuple[float, float] | None = None
    spacing_range: tuple[float, float] | None = (5.0, 34.0)
    recipe: dict[str, Any] = {}
    seed: int = 0
    steps: int = 0
    code_version: str = ""
    scores: dict[str, float] = {}
    licence: str = "BSD-3-Clause"
    citation: str = ""
    source: str = ""
    description: str = ""


def read_card(path: str | Path) -> ModelCard:
    """The card of a weights file.

    Only the header is read, and it is only parsed, never executed.

    Raises
    ------
    WeightsError
        The file is missing, too large, truncated, not a safetensors file, or not one of this
        package.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"{path}: no such weights file")
    if path.stat().st_size > LARGEST_FILE:
        raise WeightsError(f"{path}: larger than {LARGEST_FILE / 2**20:.0f} MB, not a model")
    try:
        with safe_open(path, framework="numpy") as file:
            header = (file.metadata() or {}).get(HEADER)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path}: not a safetensors file, or damaged ({error})") from error
    if header is None:
        raise WeightsError(f"{path}: a safetensors file, but not a model of napari-atomseg")
    if len(header) > LARGEST_CARD:
        raise WeightsError(f"{path}: its model card is too large to be one")
    try:
        return ModelCard.model_validate_json(header)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"])) or "card"
        raise WeightsError(f"{path}: bad model card ({where}: {fault['msg']})") from error
