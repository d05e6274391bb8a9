"""The commands that apply a model to images."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_atomseg.alignment.settings import noise_of
from napari_atomseg.cli.app import app, print_line, session
from napari_atomseg.cli.options import (
    IMAGE,
    DatasetOption,
    FrameOption,
    Images,
    Output,
    Reading,
    SamplingOption,
    each_image,
    hooks,
    with_settings,
)
from napari_atomseg.inference.scan.settings import Scan, ScanCorrectionSettings, ScanSettings
from napari_atomseg.inference.settings import InferenceSettings, RestorationSettings
from napari_atomseg.localization.settings import DetectionSettings, FitSettings, LabelSettings
from napari_atomseg.networks.tasks import Modality

if TYPE_CHECKING:
    from napari_atomseg.io import MicroscopeImage


@app.command()
@with_settings(RestorationSettings, InferenceSettings)
def restore(
    images: Images,
    output: Output = None,
    sampling: SamplingOption = None,
    dataset: DatasetOption = None,
    frame: FrameOption = None,
    **chosen: Any,
) -> None:
    """Restore images: denoise, remove the background, sharpen, double the pixels.

    The consistency map is written beside the result, as NAME-consistency.
    """
    task: str = chosen.pop("task")
    consistency: bool = chosen.pop("consistency")
    scan: Scan = chosen.pop("scan")
    modality: Modality | None = chosen.pop("modality")
    reading = Reading(dataset, frame, sampling)
    with session() as current:
        from napari_atomseg import consistency as compare
        from napari_atomseg import correct_scan
        from napari_atomseg import restore as compute
        from napari_atomseg._shared.files import digest
        from napari_atomseg.io import write_image
        from napari_atomseg.networks.tasks import COARSE
        from napari_atomseg.weights import propose_model

        def work(image: MicroscopeImage, result: Path) -> str:
            pixel = image.sampling
            own, done, data = dict(chosen), task, image.data
            if modality is not None and own["model"] is None:
                proposal = propose_model(modality, task, pixel, quality=own["quality"])
                own["model"], done = proposal.model, f"{task}; {proposal.reason}"
            if scan != "none":
                lines = correct_scan(
                    data, scan, sampling=pixel, device=own["device"], **hooks(current)
                )
                data, done = lines.image, "; ".join((done, *lines.notes))

            def made(task: Any) -> Any:
                return compute(data, task, sampling=pixel, **own, **hooks(current))

            restored, coarse = made(task), COARSE.get(task, task)
            settings = {"task": task, "sampling": pixel, "scan": scan, **reading.chosen, **own}
            record = _record("restore", image.name, settings, reading.inputs(image), restored)
            write_image(result, image.like(restored), metadata=record)
            if not consistency:
                return done
            test = compare(data, restored if task == coarse else made(coarse), coarse)
            beside = result.with_name(f"{result.stem}-consistency{result.suffix}")
            tested = record | {"action": "consistency", "result": digest(test.z)}
            write_image(beside, image.like(test.z), metadata=tested)
            return f"{done}; {test.summary()}"

        each_image(current, images, output, f"-{task}{IMAGE}", reading, work)


@app.command()
@with_settings(ScanCorrectionSettings)
def scan(
    images: Images,
    output: Output = None,
    sampling: SamplingOption = None,
    dataset: DatasetOption = None,
    frame: FrameOption = None,
    **chosen: Any,
) -> None:
    """Put scan lines that jitter back where they were taken, without restoring the image.

    The displacement of every line is written beside the result, as the table NAME.csv and the plot
    NAME.png; of a stack, the plot is of its first frame.
    """
    reading = Reading(dataset, frame, sampling)
    with session() as current:
        from napari_atomseg import correct_scan
        from napari_atomseg.figures import save, scan_lines
        from napari_atomseg.io import provenance, write_image
        from napari_atomseg.io.columns.csv_table import write_csv

        def work(image: MicroscopeImage, result: Path) -> str:
            pixel = image.sampling
            made = correct_scan(image.data, sampling=pixel, **chosen, **hooks(current))
            settings = {"sampling": pixel, **reading.chosen, **chosen}
            record = provenance(
                "scan",
                image.name,
                settings,
                model=made.model,
                sha256=made.sha256,
                inputs=reading.inputs(image),
                result=made.image,
            )
            write_image(result, image.like(made.image), metadata=record)
            write_csv(result.with_suffix(".csv"), made.lines)
            first = 0 if "frame" in made.lines else None
            drawn = scan_lines(made.lines, frame=first, title=Path(image.name).name)
            save(drawn, result.with_suffix(".png"), metadata=record)
            return "; ".join(made.notes)

        each_image(current, images, output, f"-scan{IMAGE}", reading, work)


@app.command()
@with_settings(LabelSettings, InferenceSettings)
def segment(
    images: Images,
    output: Output = None,
    sampling: SamplingOption = None,
    dataset: DatasetOption = None,
    frame: FrameOption = None,
    **chosen: Any,
) -> None:
    """Segment atomic columns: a label image, one label a column."""
    reading = Reading(dataset, frame, sampling)
    with session() as current:
        import numpy as np

        from napari_atomseg import segment as compute
        from napari_atomseg.io import write_image

        def work(image: MicroscopeImage, result: Path) -> str:
            pixel = image.sampling
            labels = compute(image.data, sampling=pixel, **chosen, **hooks(current))
            settings = {"sampling": pixel, **reading.chosen, **chosen}
            record = _record("segment", image.name, settings, reading.inputs(image), labels)
            write_image(result, image.like(labels), metadata=record, labels=True)
            if hasattr(labels, "dask"):
                return f"{np.prod(labels.shape[:-2])} frames"
            frames = labels.reshape(-1, *labels.shape[-2:])
            return f"{sum(np.count_nonzero(np.unique(frame)) for frame in frames)} columns"

        each_image(current, images, output, f"-labels{IMAGE}", reading, work)


@app.command()
@with_settings(DetectionSettings, FitSettings, ScanSettings, InferenceSettings)
def localize(
    images: Images,
    output: Output = None,
    region: Annotated[
        Path | None,
        typer.Option(
            help="Label image: only columns where it is not 0 are measured.", show_default=False
        ),
    ] = None,
    sampling: SamplingOption = None,
    dataset: DatasetOption = None,
    frame: FrameOption = None,
    **chosen: Any,
) -> None:
    """Localize atomic columns: a table of positions, widths and intensities."""
    reading = Reading(dataset, frame, sampling)
    with session() as current:
        from napari_atomseg import localize as compute
        from napari_atomseg.io import provenance, read_image, write_columns
        from napari_atomseg.io.inputs import positions

        mask = None if region is None else read_image(region).data

        def work(image: MicroscopeImage, result: Path) -> str:
            pixel, noise = image.sampling, noise_of(image.metadata.get("provenance", {}))
            table = compute(
                image.data, sampling=pixel, region=mask, **chosen, **noise, **hooks(current)
            )
            current.cancel.raise_if_cancelled()
            settings = {"sampling": pixel, "region": None if region is None else str(region)}
            record = provenance(
                "localize",
                image.name,
                settings | reading.chosen | chosen,
                inputs=reading.inputs(image),
                result=positions(table),
            )
            write_columns(result, table, record)
            verdict = table.attrs.get("training_range")
            told = [f"{len(table)} columns" + (f", {verdict}" if verdict else "")]
            return "; ".join([*told, *table.attrs["notes"]])

        each_image(current, images, output, "-columns.csv", reading, work)


@app.command()
@with_settings(InferenceSettings)
def demo(
    image: Annotated[
        Path | None,
        typer.Argument(help="Image file; by default a simulated image.", show_default=False),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the figure and the table.")
    ] = Path("demo"),
    window: Annotated[
        bool, typer.Option("--window/--no-window", help="Open napari with the results.")
    ] = True,
    sampling: SamplingOption = None,
    dataset: DatasetOption = None,
    frame: FrameOption = None,
    **chosen: Any,
) -> None:
    """Restore, segment and localize a simulated image, or one of yours, and show the result."""
    with session() as current:
        from napari_atomseg.cli.demo import run_demo

        result = run_demo(
            image,
            output,
            sampling=sampling,
            dataset=dataset,
            frame=frame,
            inference=InferenceSettings(**chosen),
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


def _record(
    action: str, source: str, settings: dict[str, Any], inputs: dict[str, Any], result: Any
) -> dict[str, Any]:
    """Provenance with the model's name and hash."""
    from napari_atomseg import weights
    from napari_atomseg.io import provenance
    from napari_atomseg.networks.card import read_card

    path = weights.resolve(settings["model"])
    return provenance(
        action,
        source,
        settings,
        model=read_card(path).name,
        sha256=weights.sha256(path),
        inputs=inputs,
        result=result,
    )
