"""Options that several commands share, and images with the files of their results."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import BaseModel
from typer.core import TyperCommand

from napari_atomseg._shared.outputs import check_outputs
from napari_atomseg._shared.sampling import read_sampling
from napari_atomseg.cli.app import Session, print_line, print_warning
from napari_atomseg.settings import options

if TYPE_CHECKING:
    from napari_atomseg._shared.types import Sampling
    from napari_atomseg.io.images.image import MicroscopeImage


Images = Annotated[list[Path], typer.Argument(help="Image files, or folders of images.")]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", help="Result file, or folder for several; by default beside the image."
    ),
]
SamplingOption = Annotated[
    Any,
    typer.Option(
        "--sampling",
        parser=read_sampling,
        metavar="Y X",
        help="Å per pixel, one number or along y and x; by default from the file.",
        show_default=False,
    ),
]
DatasetOption = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        help="Data set of a file with several, by its name or by its number, from 0; by default "
        "the first image.",
        show_default=False,
    ),
]
FrameOption = Annotated[
    int | None,
    typer.Option("--frame", help="Frame of a stack, from 0; by default all.", show_default=False),
]
Device = Annotated[str, typer.Option(help="Device to compute on: auto, cpu, cuda or mps.")]


@dataclass(frozen=True)
class Reading:
    """What a command takes from image files.

    Attributes
    ----------
    dataset, frame : as in `read_image`.
    sampling : Å per pixel, in place of that of the file.
    """

    dataset: str | None = None
    frame: int | None = None
    sampling: Sampling | None = None

    @property
    def chosen(self) -> dict[str, Any]:
        """Data set and frame for the record of a result, where they were chosen."""
        known = {"dataset": self.dataset, "frame": self.frame}
        return {name: value for name, value in known.items() if value is not None}

    def image(self, path: Path) -> MicroscopeImage:
        """Read an image or stack; the notes of its file become warnings."""
        return self._read(path, self.frame)

    def plane(self, path: Path) -> MicroscopeImage:
        """Read a single image; of a stack, the frame as tables count it, over all leading axes.

        Raises
        ------
        ValueError
            It is a stack, and no frame of it was chosen.
        """
        image = self._read(path, None)
        if image.data.ndim == 2:
            return image
        frames = image.data.reshape(-1, *image.data.shape[-2:])
        if self.frame is None or not 0 <= self.frame < len(frames):
            raise ValueError(
                f"{path}: this is a stack; choose one of its {len(frames)} images by --frame"
            )
        return replace(
            image, data=frames[self.frame], axes=image.axes[-2:], scales=image.scales[-2:]
        )

    def inputs(self, image: MicroscopeImage) -> dict[str, Any]:
        """What a result is made of, for its record; nothing where that is no single file."""
        from napari_atomseg.io.inputs import INPUT

        return {"of": image.metadata[INPUT]} if INPUT in image.metadata else {}

    def _read(self, path: Path, frame: int | None) -> MicroscopeImage:
        from napari_atomseg.io import read_image
        from napari_atomseg.io.images.write import resampled
        from napari_atomseg.io.inputs import with_input

        image = with_input(read_image(path, self.dataset, frame), path, self.dataset, frame)
        for note in image.notes:
            print_warning(f"{path}: {note}")
        return image if self.sampling is None else resampled(image, self.sampling)


def with_settings(
    *settings: type[BaseModel],
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorate a command with an option for each setting in place of its ``**`` parameters."""
    every = [parameter for model in settings for parameter in options(model)]
    return lambda command: with_parameters(command, every)


def with_parameters(
    command: Callable[..., None], parameters: Iterable[inspect.Parameter]
) -> Callable[..., None]:
    """Replace the ``**`` parameters of `command` by these."""
    own = inspect.signature(command, eval_str=True)
    named = [p for p in own.parameters.values() if p.kind is not p.VAR_KEYWORD]
    every = [p.replace(kind=p.KEYWORD_ONLY) for p in (*named, *parameters)]

    @functools.wraps(command)
    def whole(**arguments: Any) -> None:
        command(**arguments)

    whole.__signature__ = own.replace(parameters=every)  # type: ignore[attr-defined]
    whole.__annotations__ = {p.name: p.annotation for p in every} | {"return": None}
    return whole


ZONE_AXIS = "--zone-axis"

IMAGE = ".tif"
"""Suffix of images where the user names no file."""


class AxisCommand(TyperCommand):
    """A command whose zone axis has three indices or four, apart or in one text."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take the whole numbers that follow the option as one text."""
        joined: list[str] = []
        left = list(args)
        while left:
            word = left.pop(0)
            joined.append(word)
            indices: list[str] = []
            while word == ZONE_AXIS and len(indices) < 4 and left and _is_index(left[0]):
                indices.append(left.pop(0))
            if indices:
                joined[-1] = f"{ZONE_AXIS}={','.join(indices)}"
        return super().parse_args(ctx, joined)


def _is_index(word: str) -> bool:
    return word.removeprefix("-").removeprefix("+").isdigit()


def with_late_settings(
    command: Callable[..., None], make: Callable[[], Iterable[inspect.Parameter]]
) -> type[TyperCommand]:
    """Return the class of a command with options in place of the ``**`` parameters of `command`.

    They are made when this command, or its help, is asked for: importing the simulation, with its
    settings, takes seconds.
    """

    class Late(AxisCommand):
        made = False

        def get_params(self, ctx: Any) -> Any:
            if not self.made:
                one = typer.Typer(add_completion=False)
                one.command()(with_parameters(command, make()))
                whole: Any = typer.main.get_command(one)
                self.params, self.callback = whole.params, whole.callback
                self.made = True
            return super().get_params(ctx)

    return Late


def hooks(current: Session) -> dict[str, Any]:
    """Progress and cancel of a command, as keywords for the functions of the package."""
    return {"progress": current.progress, "cancel": current.cancel}


def pairs(images: list[Path], output: Path | None, ending: str) -> list[tuple[Path, Path]]:
    """Each image file, also those in folders, with the file for its result.

    Parameters
    ----------
    images : files and folders.
    output : a file for one image, a folder for several; by default beside each image.
    ending : ending of the result's name where `output` is not a file, such as "-columns.csv".

    Raises
    ------
    ValueError
        There is no image, or two results, or an image and a result, would be one file.
    """
    files = [file for path in images for file in image_files(path)]
    several = len(images) > 1 or files != images
    if not files:
        raise ValueError(f"no images in {', '.join(map(str, images))}")
    if output is not None and not several and not _is_folder(output):
        results = [output]
    else:
        results = [(output or file.parent) / f"{file.stem}{ending}" for file in files]
    check_outputs(results, files)
    return list(zip(files, results, strict=True))


def each_image(
    current: Session,
    images: list[Path],
    output: Path | None,
    ending: str,
    reading: Reading,
    work: Callable[[MicroscopeImage, Path], str],
) -> None:
    """Read each image and do the work; an image that fails does not stop the others.

    `work` takes an image and the file for its result, and returns a summary.
    """
    for file, result in pairs(images, output, ending):
        with current.attempt():
            current.cancel.raise_if_cancelled()
            if Path(ending).suffix == IMAGE:
                check_suffix(result)
            image = reading.image(file)
            result.parent.mkdir(parents=True, exist_ok=True)
            done = work(image, result)
            current.clear()
            print_line(f"{file}: {done} → {result}")


def check_suffix(path: Path) -> None:
    """Refuse a file for images before anything is computed.

    Raises
    ------
    ValueError
        Images are not written with its suffix.
    """
    from napari_atomseg.io import WRITTEN_SUFFIXES

    if path.suffix.lower() not in WRITTEN_SUFFIXES:
        known = ", ".join(WRITTEN_SUFFIXES)
        raise ValueError(f"{path}: images are written as {known}, not as {path.suffix or 'this'}")


def _is_folder(path: Path) -> bool:
    """Whether a path holds files; an image that is a folder, as Zarr is, counts as a file."""
    from napari_atomseg.io import IMAGE_SUFFIXES

    return path.is_dir() and path.suffix.lower() not in IMAGE_SUFFIXES


def image_files(path: Path) -> list[Path]:
    """The images in a folder, by name; a file is one of its own."""
    from napari_atomseg.io import IMAGE_SUFFIXES

    if not _is_folder(path):
        return [path]
    return sorted(file for file in path.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES)
