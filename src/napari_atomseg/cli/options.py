"""Several images, and where their results go."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from napari_atomseg.cli.session import Session

if TYPE_CHECKING:
    from napari_atomseg._shared.types import Sampling
    from napari_atomseg.io.images.image import MicroscopeImage


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


def pairs(images: list[Path], output: Path | None, ending: str) -> list[tuple[Path, Path]]:
    """Each image file, folders opened, with the file for its result.

    Parameters
    ----------
    images : files and folders.
    output : a file for one image, a folder for several; by default beside each image.
    ending : of the result's name where `output` is no file, such as "-columns.csv".

    Raises
    ------
    ValueError
        There is no image, or two results, or an image and a result, would be one file.
    """
    several = len(images) > 1 or any(path.is_dir() for path in images)
    files = [file for path in images for file in _opened(path)]
    if not files:
        raise ValueError(f"no images in {', '.join(map(str, images))}")
    if output is not None and not several and not output.is_dir():
        results = [output]
    else:
        results = [(output or file.parent) / f"{file.stem}{ending}" for file in files]
    places = [result.resolve() for result in results]
    for file, place in zip(files, places, strict=True):
        if places.count(place) > 1:
            raise ValueError(f"several results would be written to {place}")
        if place in [each.resolve() for each in files]:
            raise ValueError(f"the result would overwrite the image {file}")
    return list(zip(files, results, strict=True))


def each_image(
    current: Session,
    images: list[Path],
    output: Path | None,
    ending: str,
    sampling: float | None,
    work: Callable[[MicroscopeImage, Sampling | None, Path], str],
) -> None:
    """Read each image and do the work; an image that fails does not stop the others.

    `work` takes an image, its sampling and the file for its result, and says what it did.
    """
    from napari_atomseg.io import read_image

    for file, result in pairs(images, output, ending):
        with current.attempt():
            current.cancel.raise_if_cancelled()
            image = read_image(file)
            result.parent.mkdir(parents=True, exist_ok=True)
            done = work(image, image.sampling if sampling is None else sampling, result)
            current.clear()
            print_line(f"{file}: {done} → {result}")


def print_line(text: str) -> None:
    """Print a line on standard output, also where it cannot show every character."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding) + "\n")
    sys.stdout.flush()


def _opened(path: Path) -> list[Path]:
    from napari_atomseg.io import IMAGE_SUFFIXES

    if not path.is_dir():
        return [path]
    return sorted(file for file in path.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES)


def one_image(path: Path, sampling: float | None, frame: int | None) -> Any:
    """The pixels of an image file, or of one frame of it, and its sampling."""
    from napari_atomseg.io import read_image

    read = read_image(path)
    pixels = read.data
    if pixels.ndim > 2:
        stack = pixels.reshape(-1, *pixels.shape[-2:])
        if frame is None or not 0 <= frame < len(stack):
            raise ValueError(f"{path}: a stack; --frame says which of its {len(stack)} images")
        pixels = stack[frame]
    return pixels, read.sampling if sampling is None else sampling
