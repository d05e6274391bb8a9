"""What several commands take, each defined once."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from napari_atomseg.cli.session import Session

Images = Annotated[list[Path], typer.Argument(help="Image files, or folders of them.")]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", help="File, or folder for several images; by default beside the image."
    ),
]
Model = Annotated[
    str | None, typer.Option(help="Name of a model, or path of a weights file; by default stem-hr.")
]
SamplingOption = Annotated[
    float | None,
    typer.Option(help="Å per pixel; by default what the file says.", show_default=False),
]
Contrast = Annotated[str, typer.Option(help="Atoms are bright, dark, or auto.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]


@dataclass(frozen=True)
class ModelOptions:
    """How a model is applied to images."""

    model: Model = None
    contrast: Contrast = "auto"
    device: Device = "auto"
    precision: Annotated[str, typer.Option(help="auto, full or half.")] = "auto"
    tile_size: Annotated[
        int, typer.Option(help="Side of the largest piece computed at once, px.")
    ] = 1024


def with_model_options(command: Callable[..., None]) -> Callable[..., None]:
    """A command that has `ModelOptions` in place of its ``**options``."""
    hints = get_type_hints(ModelOptions, include_extras=True)
    fields = inspect.signature(ModelOptions).parameters.values()
    return with_parameters(command, [each.replace(annotation=hints[each.name]) for each in fields])


def with_parameters(
    command: Callable[..., None], parameters: Iterable[inspect.Parameter]
) -> Callable[..., None]:
    """A function that has these parameters where `command` has ``**`` ones."""
    own = inspect.signature(command, eval_str=True)
    named = [p for p in own.parameters.values() if p.kind is not p.VAR_KEYWORD]
    every = [p.replace(kind=p.KEYWORD_ONLY) for p in (*named, *parameters)]

    @functools.wraps(command)
    def whole(**arguments: Any) -> None:
        command(**arguments)

    whole.__signature__ = own.replace(parameters=every)  # type: ignore[attr-defined]
    whole.__annotations__ = {p.name: p.annotation for p in every} | {"return": None}
    return whole


def hooks(current: Session) -> dict[str, Any]:
    """What the functions of the package tell and ask a command while they work."""
    return {"progress": current.progress, "cancel": current.cancel}
