"""The commands and their options."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_atomseg.cli.batch import each_image, print_line
from napari_atomseg.cli.session import Session, session

app = typer.Typer(
    help="Restore, segment and localize atomic columns in electron microscope images.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Images = Annotated[list[Path], typer.Argument(help="Image files, or folders of them.")]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="File, or folder for several images [beside the image]."),
]
Model = Annotated[
    str | None, typer.Option(help="Name of a model, or path of a weights file [stem-hr].")
]
SamplingOption = Annotated[
    float | None, typer.Option(help="Å per pixel [what the file says].", show_default=False)
]
Contrast = Annotated[str, typer.Option(help="Atoms are bright, dark, or auto.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Precision = Annotated[str, typer.Option(help="auto, full or half.")]
TileSize = Annotated[int, typer.Option(help="Side of the largest piece computed at once, px.")]


def _version(wanted: bool) -> None:
    if wanted:
        from napari_atomseg import __version__

        print_line(f"napari-atomseg {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Restore, segment and localize atomic columns in electron microscope images."""


@app.command()
def restore(
    images: Images,
    output: Output = None,
    task: Annotated[
        str, typer.Option(help="denoise, denoise_background or superresolution.")
    ] = "denoise",
    consistency: Annotated[
        bool,
        typer.Option(
            "--consistency", help="Also write NAME-consistency.tif: where the raw image differs, σ."
        ),
    ] = False,
    model: Model = None,
    sampling: SamplingOption = None,
    contrast: Contrast = "auto",
    device: Device = "auto",
    precision: Precision = "auto",
    tile_size: TileSize = 1024,
) -> None:
    """Restore images: denoise, remove the background, sharpen."""
    options = _options(model, contrast, device, precision, tile_size)
    with session() as current:
        from napari_atomseg import consistency as compare
        from napari_atomseg import restore as compute
        from napari_atomseg.io import write_image

        def work(image: Any, pixel: Any, result: Path) -> str:
            restored = compute(image.data, task, sampling=pixel, **options, **_hooks(current))
            record = _record("restore", image.name, {"task": task, "sampling": pixel, **options})
            write_image(result, restored, pixel, record)
            if not consistency:
                return task
            test = compare(image.data, restored, task)
            beside = result.with_name(f"{result.stem}-consistency.tif")
            write_image(beside, test.z, pixel, record | {"action": "consistency"})
            return f"{task}; {test.summary()}"

        each_image(current, images, output, f"-{task}.tif", sampling, work)


@app.command()
def segment(
    images: Images,
    output: Output = None,
    model: Model = None,
    sampling: SamplingOption = None,
    contrast: Contrast = "auto",
    device: Device = "auto",
    precision: Precision = "auto",
    tile_size: TileSize = 1024,
) -> None:
    """Segment atomic columns: a label image, one label a column."""
    options = _options(model, contrast, device, precision, tile_size)
    with session() as current:
        from napari_atomseg import segment as compute
        from napari_atomseg.io import write_image

        def work(image: Any, pixel: Any, result: Path) -> str:
            labels = compute(image.data, sampling=pixel, **options, **_hooks(current))
            record = _record("segment", image.name, {"sampling": pixel, **options})
            write_image(result, labels, pixel, record)
            return f"{labels.max()} columns"

        each_image(current, images, output, "-labels.tif", sampling, work)


@app.command()
def localize(
    images: Images,
    output: Output = None,
    refine: Annotated[str, typer.Option(help="none, centroid, gaussian or joint.")] = "gaussian",
    detector: Annotated[str, typer.Option(help="network, or peaks without a model.")] = "network",
    edge: Annotated[str, typer.Option(help="keep or drop columns cut by the border.")] = "keep",
    model: Model = None,
    sampling: SamplingOption = None,
    contrast: Contrast = "auto",
    device: Device = "auto",
    precision: Precision = "auto",
    tile_size: TileSize = 1024,
) -> None:
    """Localize atomic columns: a table of positions, widths and intensities."""
    options = _options(model, contrast, device, precision, tile_size)
    choices: dict[str, Any] = {"refine": refine, "detector": detector, "edge": edge}
    with session() as current:
        from napari_atomseg import localize as compute
        from napari_atomseg.io import provenance, write_columns

        def work(image: Any, pixel: Any, result: Path) -> str:
            table = compute(image.data, sampling=pixel, **choices, **options, **_hooks(current))
            current.cancel.raise_if_cancelled()
            settings = {"sampling": pixel, **choices, **options}
            write_columns(result, table, provenance("localize", image.name, settings))
            verdict = table.attrs.get("training_range")
            return f"{len(table)} columns" + (f", {verdict}" if verdict else "")

        each_image(current, images, output, "-columns.csv", sampling, work)


@app.command()
def train(
    recipe: Annotated[Path, typer.Argument(help="YAML file.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Weights file [the recipe's name].", show_default=False
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume/--no-resume", help="Go on from the last checkpoint.")
    ] = True,
    device: Device = "auto",
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write curves for TensorBoard, too.")
    ] = False,
) -> None:
    """Train a network by a recipe; torchrun trains one in several processes."""
    with session() as current:
        from napari_atomseg import train as compute

        def progress(done: int, total: int, message: str) -> None:
            if "validation" in message:
                current.say(message)
            current.progress(done, total, message.partition(",")[0])

        path = compute(
            recipe,
            output,
            resume=resume,
            device=device,
            tensorboard=tensorboard,
            progress=progress,
            cancel=current.cancel,
        )
        current.clear()
        if os.environ.get("RANK", "0") == "0":  # The first process speaks for all of torchrun's.
            print_line(f"{recipe} → {path}")


@app.command()
def demo(
    image: Annotated[
        Path | None, typer.Argument(help="An image of yours.", show_default=False)
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the figure and the table.")
    ] = Path("demo"),
    window: Annotated[
        bool, typer.Option("--window/--no-window", help="Open napari with the results.")
    ] = True,
    model: Model = None,
    sampling: SamplingOption = None,
    contrast: Contrast = "auto",
    device: Device = "auto",
) -> None:
    """Restore, segment and localize a simulated image, or one of yours, and show the result."""
    with session() as current:
        from napari_atomseg.demo import run_demo

        result = run_demo(
            image,
            output,
            model=model,
            sampling=sampling,
            contrast=contrast,
            device=device,
            **_hooks(current),
        )
        current.clear()
        for line in result.report():
            print_line(line)
    if window:
        from napari_atomseg.demo import show

        signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C closes the window
        problem = show(result)
        if problem:
            print_line(f"no window: {problem}")


def _options(
    model: str | None, contrast: str, device: str, precision: str, tile_size: int
) -> dict[str, Any]:
    return {
        "model": model,
        "contrast": contrast,
        "device": device,
        "precision": precision,
        "tile_size": tile_size,
    }


def _hooks(current: Session) -> dict[str, Any]:
    return {"progress": current.progress, "cancel": current.cancel}


def _record(action: str, source: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Provenance with the model's name and hash."""
    from napari_atomseg import weights
    from napari_atomseg.io import provenance
    from napari_atomseg.networks.card import read_card

    path = weights.resolve(settings["model"])
    return provenance(
        action, source, settings, model=read_card(path).name, sha256=weights.sha256(path)
    )
