"""The commands that list and convert image files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_atomseg.cli.app import app, print_line, session
from napari_atomseg.cli.options import (
    DatasetOption,
    FrameOption,
    Reading,
    SamplingOption,
    check_suffix,
)

if TYPE_CHECKING:
    from napari_atomseg.io import MicroscopeImage

ABOUT = "List what image files hold, and convert them."

images = typer.Typer(help=ABOUT, no_args_is_help=True)
app.add_typer(images, name="images")


@images.callback()
def group() -> None:
    """List what image files hold, and convert them."""


@images.command("list")
def list_datasets(
    files: Annotated[list[Path], typer.Argument(help="Image files.")],
) -> None:
    """List the data sets of files: number, name, size, kind and size of a pixel."""
    with session() as current:
        from napari_atomseg.io import read_images

        for file in files:
            with current.attempt():
                found = read_images(file)
                print_line(f"{file}:")
                for number, image in enumerate(found):
                    print_line(f"  {number}: {_described(image)}")
                    for note in image.notes:
                        print_line(f"     {note}")


def _described(image: MicroscopeImage) -> str:
    sizes = " × ".join(
        f"{length} {axis}" for length, axis in zip(image.data.shape, image.axes, strict=True)
    )
    scales = [f"{step:.6g} {unit}" for step, unit in image.scales[-2:] if step and unit]
    pixel = "no scale"
    if image.sampling is not None:
        size = image.sampling
        pixel = f"{size[0]:.6g} × {size[1]:.6g}" if isinstance(size, tuple) else f"{size:.6g}"
        pixel += " Å per pixel"
    elif scales:
        pixel = f"{' × '.join(dict.fromkeys(scales))} per pixel"
    parts = [image.title, sizes, str(image.data.dtype), image.kind, pixel]
    return ", ".join([part for part in parts if part])


@images.command()
def convert(
    source: Annotated[Path, typer.Argument(help="Image file.")],
    target: Annotated[
        Path,
        typer.Argument(
            help="File to write: .tif for ImageJ, .hspy, .hdf5 or .h5 for HyperSpy, .zarr for "
            "OME-Zarr."
        ),
    ],
    sampling: SamplingOption = None,
    dataset: DatasetOption = None,
    frame: FrameOption = None,
) -> None:
    """Write an image to a file of another format, with its axes, scales and record."""
    with session([target], [source]):
        from napari_atomseg.io import provenance, write_image

        check_suffix(target)
        reading = Reading(dataset, frame, sampling)
        image = reading.image(source)
        record = image.metadata.get("provenance") or provenance(
            "convert", source.name, {"sampling": image.sampling, **reading.chosen}
        )
        target.parent.mkdir(parents=True, exist_ok=True)
        write_image(target, image, metadata=record)
        print_line(f"{source}: {_described(image)} → {target}")
