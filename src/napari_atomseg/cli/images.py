"""The commands that apply a model to images."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_atomseg.cli.app import app, print_line, session
from napari_atomseg.cli.options import (
    Contrast,
    Device,
    Images,
    Model,
    Output,
    SamplingOption,
    each_image,
    hooks,
    with_model_options,
)


@app.command()
@with_model_options
def restore(
    images: Images,
    output: Output = None,
    task: Annotated[
        str,
        typer.Option(help="denoise, denoise_background, superresolution or upinterpolation."),
    ] = "denoise",
    consistency: Annotated[
        bool,
        typer.Option(
            "--consistency", help="Also write NAME-consistency.tif: where the raw image differs, σ."
        ),
    ] = False,
    sampling: SamplingOption = None,
    **options: Any,
) -> None:
    """Restore images: denoise, remove the background, sharpen, double the pixels."""
    with session() as current:
        from napari_atomseg import consistency as compare
        from napari_atomseg import restore as compute
        from napari_atomseg.io import write_image
        from napari_atomseg.networks.tasks import COARSE

        def work(image: Any, pixel: Any, result: Path) -> str:
            def made(task: str) -> Any:
                return compute(image.data, task, sampling=pixel, **options, **hooks(current))

            restored, coarse = made(task), COARSE.get(task, task)
            record = _record("restore", image.name, {"task": task, "sampling": pixel, **options})
            finer = pixel if task == coarse or pixel is None else _halved(pixel)
            write_image(result, restored, finer, record)
            if not consistency:
                return task
            test = compare(image.data, restored if task == coarse else made(coarse), coarse)
            beside = result.with_name(f"{result.stem}-consistency.tif")
            write_image(beside, test.z, pixel, record | {"action": "consistency"})
            return f"{task}; {test.summary()}"

        each_image(current, images, output, f"-{task}.tif", sampling, work)


@app.command()
@with_model_options
def segment(
    images: Images, output: Output = None, sampling: SamplingOption = None, **options: Any
) -> None:
    """Segment atomic columns: a label image, one label a column."""
    with session() as current:
        from napari_atomseg import segment as compute
        from napari_atomseg.io import write_image

        def work(image: Any, pixel: Any, result: Path) -> str:
            labels = compute(image.data, sampling=pixel, **options, **hooks(current))
            record = _record("segment", image.name, {"sampling": pixel, **options})
            write_image(result, labels, pixel, record)
            return f"{labels.max()} columns"

        each_image(current, images, output, "-labels.tif", sampling, work)


@app.command()
@with_model_options
def localize(
    images: Images,
    output: Output = None,
    refine: Annotated[
        str,
        typer.Option(
            help="none, centroid, centre_of_mass, gaussian, elliptic, rotated (ellipses) or joint."
        ),
    ] = "gaussian",
    detector: Annotated[str, typer.Option(help="network, or peaks without a model.")] = "network",
    widths: Annotated[
        str, typer.Option(help="shared by all columns of a joint fit, or free.")
    ] = "shared",
    backgrounds: Annotated[
        str, typer.Option(help="local to each column of a joint fit, or shared by all.")
    ] = "local",
    likelihood: Annotated[
        str, typer.Option(help="Noise that fits expect: auto, gaussian or poisson.")
    ] = "auto",
    on: Annotated[
        str, typer.Option(help="Measure on the raw image, the restored one, or both.")
    ] = "raw",
    region: Annotated[
        Path | None,
        typer.Option(help="Label image: columns where it is not 0.", show_default=False),
    ] = None,
    edge: Annotated[str, typer.Option(help="keep or drop columns cut by the border.")] = "keep",
    min_score: Annotated[
        float | None,
        typer.Option(help="Drop columns of a lower score; by default those more likely none."),
    ] = None,
    sampling: SamplingOption = None,
    **options: Any,
) -> None:
    """Localize atomic columns: a table of positions, widths and intensities."""
    measured = {"refine": refine, "detector": detector, "edge": edge, "min_score": min_score}
    fitted = {"widths": widths, "backgrounds": backgrounds, "likelihood": likelihood, "on": on}
    choices: dict[str, Any] = measured | fitted | options
    with session() as current:
        from napari_atomseg import localize as compute
        from napari_atomseg.io import provenance, read_image, write_columns

        mask = None if region is None else read_image(region).data

        def work(image: Any, pixel: Any, result: Path) -> str:
            table = compute(image.data, sampling=pixel, region=mask, **choices, **hooks(current))
            current.cancel.raise_if_cancelled()
            settings = {"sampling": pixel, "region": None if region is None else str(region)}
            record = provenance("localize", image.name, settings | choices)
            write_columns(result, table, record)
            verdict = table.attrs.get("training_range")
            return f"{len(table)} columns" + (f", {verdict}" if verdict else "")

        each_image(current, images, output, "-columns.csv", sampling, work)


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
        from napari_atomseg.cli.demo import run_demo

        result = run_demo(
            image,
            output,
            model=model,
            sampling=sampling,
            contrast=contrast,
            device=device,
            **hooks(current),
        )
        current.clear()
        for line in result.report():
            print_line(line)
    if window:
        from napari_atomseg.cli.demo import show

        signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C closes the window
        problem = show(result)
        if problem:
            print_line(f"no window: {problem}")


def _halved(pixel: float | tuple[float, float]) -> float | tuple[float, float]:
    """Å per pixel of an image of twice as many pixels each way."""
    return (pixel[0] / 2, pixel[1] / 2) if isinstance(pixel, tuple) else pixel / 2


def _record(action: str, source: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Provenance with the model's name and hash."""
    from napari_atomseg import weights
    from napari_atomseg.io import provenance
    from napari_atomseg.networks.card import read_card

    path = weights.resolve(settings["model"])
    return provenance(
        action, source, settings, model=read_card(path).name, sha256=weights.sha256(path)
    )
