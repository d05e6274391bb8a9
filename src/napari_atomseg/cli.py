"""The command line: each command is a thin call of one public function."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(
    help="Restore, segment and localize atomic columns in electron microscope images.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Images = Annotated[list[Path], typer.Argument(help="Images, or folders of images.")]
Model = Annotated[str | None, typer.Option(help="Name of a model or a weights file.")]
Sampling = Annotated[
    float | None, typer.Option(help="Å per pixel, where the file does not say.", min=1e-4)
]
Contrast = Annotated[str, typer.Option(help="Columns are bright or dark: auto, bright, dark.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="File to write; for several images, a folder."),
]


@app.command()
def simulate(
    crystal: Annotated[str, typer.Argument(help="Name of a crystal: SrTiO3, Si, Pt, …")],
    output: Annotated[Path, typer.Option("--output", "-o", help="TIFF to write.")] = Path(
        "simulation.tif"
    ),
    zone_axis: Annotated[tuple[int, int, int], typer.Option(help="Beam direction u v w.")] = (
        0,
        0,
        1,
    ),
    shape: Annotated[tuple[int, int], typer.Option(help="Rows and columns.")] = (512, 512),
    sampling: Annotated[float, typer.Option(help="Å per pixel.")] = 0.1,
    dose: Annotated[float, typer.Option(help="e⁻/Å² of the incident beam.")] = 2e4,
    seed: Annotated[int, typer.Option(help="Of noise and random shapes.")] = 0,
    rotation: Annotated[float, typer.Option(help="Degrees.")] = 0.0,
    energy: Annotated[float, typer.Option(help="eV.")] = 200e3,
    semiangle: Annotated[float, typer.Option(help="mrad.")] = 20.0,
    defocus: Annotated[float, typer.Option(help="Å.")] = 0.0,
    jitter: Annotated[float, typer.Option(help="Deviation of the scan lines, Å.")] = 0.1,
    background: Annotated[float, typer.Option(help="In units of the brightest column.")] = 0.0,
    background_kind: Annotated[str, typer.Option(help="constant, ramp, nonlinear.")] = "constant",
    shape_kind: Annotated[str, typer.Option(help="bulk, wedge, edge, particle.")] = "bulk",
) -> None:
    """Simulate an image; writes it, its ideal and a table of its columns."""
    settings = {k: v for k, v in locals().items() if k not in ("crystal", "output")}
    with _kindly() as progress:
        import napari_atomseg as atomseg
        from napari_atomseg import io

        sim = atomseg.simulate(crystal, **settings, progress=progress)
        made = io.provenance("simulate", crystal, sim.settings)
        io.write_image(output, sim.image, sim.sampling, made)
        ideal = output.with_name(f"{output.stem}-ideal{output.suffix}")
        io.write_image(ideal, sim.ideal, sim.sampling, made)
        table = output.with_name(f"{output.stem}-columns.csv")
        io.write_columns(table, sim.columns, {"sampling": sim.sampling, "provenance": made})
        _say(f"wrote {output}, {ideal} and {table} ({len(sim.columns)} columns)")


@app.command()
def restore(
    images: Images,
    output: Output = None,
    task: Annotated[
        str, typer.Option(help="denoise, denoise_background or superresolution.")
    ] = "denoise",
    model: Model = None,
    sampling: Sampling = None,
    contrast: Contrast = "auto",
    device: Device = "auto",
) -> None:
    """Restore images; writes TIFF with the resolution of the source."""

    def work(image: Any, pixel: Any, target: Path, options: dict[str, Any]) -> str:
        import napari_atomseg as atomseg
        from napari_atomseg import io

        restored = atomseg.restore(image, task, sampling=pixel, **options)
        made = _record("restore", target, {"task": task}, options)
        io.write_image(target, restored, pixel, made)
        return f"wrote {target}"

    _each(images, output, f"-{task}.tif", work, model, sampling, contrast, device)


@app.command()
def segment(
    images: Images,
    output: Output = None,
    model: Model = None,
    sampling: Sampling = None,
    contrast: Contrast = "auto",
    device: Device = "auto",
) -> None:
    """Segment columns; writes TIFF with one number a column."""

    def work(image: Any, pixel: Any, target: Path, options: dict[str, Any]) -> str:
        import napari_atomseg as atomseg
        from napari_atomseg import io

        labels = atomseg.segment(image, sampling=pixel, **options)
        io.write_image(target, labels, pixel, _record("segment", target, {}, options))
        return f"wrote {target} ({labels.max()} columns)"

    _each(images, output, "-labels.tif", work, model, sampling, contrast, device)


@app.command()
def localize(
    images: Images,
    output: Output = None,
    refine: Annotated[str, typer.Option(help="none, centroid, gaussian or joint.")] = "gaussian",
    detector: Annotated[str, typer.Option(help="network, or peaks without a network.")] = "network",
    model: Model = None,
    sampling: Sampling = None,
    contrast: Contrast = "auto",
    device: Device = "auto",
) -> None:
    """Localize columns; writes a CSV table."""

    def work(image: Any, pixel: Any, target: Path, options: dict[str, Any]) -> str:
        import napari_atomseg as atomseg
        from napari_atomseg import io

        chosen: dict[str, Any] = {"refine": refine, "detector": detector}
        table = atomseg.localize(image, sampling=pixel, **chosen, **options)
        made = _record("localize", target, chosen, options)
        io.write_columns(target, table, {"sampling": pixel, "provenance": made})
        return f"wrote {target} ({len(table)} columns)"

    _each(images, output, "-columns.csv", work, model, sampling, contrast, device)


@app.command()
def train(
    recipe: Annotated[Path, typer.Argument(help="Training recipe, YAML.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Weights file to write.")
    ] = None,
    resume: Annotated[bool, typer.Option(help="Go on from the checkpoint, if any.")] = True,
    device: Device = "auto",
) -> None:
    """Train a network on images simulated on the fly; Ctrl-C stops, the same command goes on."""
    with _kindly() as progress:
        import napari_atomseg as atomseg

        path = atomseg.train(recipe, output, resume=resume, device=device, progress=progress)
        _say(f"wrote {path}")


@app.command()
def models() -> None:
    """List the models."""
    with _kindly():
        import napari_atomseg as atomseg

        table = atomseg.models().drop(columns="scores")
        _say(table.to_string(index=False))


@app.command()
def demo(
    image: Annotated[Path | None, typer.Argument(help="An image; none simulates.")] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the results.")] = Path(
        "demo"
    ),
    window: Annotated[bool, typer.Option(help="Open napari with the results.")] = True,
    model: Model = None,
    sampling: Sampling = None,
) -> None:
    """Restore, segment and localize an image, and show it in napari."""
    with _kindly() as progress:
        from napari_atomseg import demo as job

        result = job.run_demo(image, model=model, sampling=sampling, progress=progress)
        for line in job.summary(result):
            _say(line)
        picture, table = job.save(result, output)
        _say(f"figure: {picture.resolve()}")
        _say(f"table:  {table.resolve()}")
        if not window:
            return
        if not job.has_screen():
            _say("no screen here, so no window; look at the figure instead")
            return
        _show(result)


def _show(result: Any) -> None:
    try:
        from napari_atomseg._napari.show import open_viewer
    except ImportError as error:
        _say(f'no window: napari is missing ({error}); pip install "napari-atomseg[all]"')
        return
    _say("opening napari; close its window to end")
    open_viewer(
        result.image,
        result.sampling,
        result.restored,
        result.labels,
        result.columns,
        name=result.name,
    )


def _each(
    images: list[Path],
    output: Path | None,
    ending: str,
    work: Callable[[Any, Any, Path, dict[str, Any]], str],
    model: str | None,
    sampling: float | None,
    contrast: str,
    device: str,
) -> None:
    """Do the work on every image; a folder stands for the images in it."""
    with _kindly() as progress:
        from napari_atomseg import io

        paths = [path for given in images for path in _expand(given)]
        many = len(paths) > 1 or any(given.is_dir() for given in images)
        options = {"model": model, "contrast": contrast, "device": device, "progress": progress}
        for path in paths:
            target = path.with_name(path.stem + ending)
            if output is not None:
                target = output / target.name if many or output.is_dir() else output
            target.parent.mkdir(parents=True, exist_ok=True)
            read = io.read_image(path)
            pixel = sampling if sampling is not None else read.sampling
            _say(f"{path}: {work(read.data, pixel, target, options)}")


def _expand(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    from napari_atomseg.io import IMAGE_SUFFIXES

    found = sorted(p for p in path.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
    if not found:
        raise FileNotFoundError(f"{path}: no images in this folder")
    return found


def _record(
    action: str, target: Path, chosen: dict[str, Any], options: dict[str, Any]
) -> dict[str, Any]:
    from napari_atomseg import io, weights
    from napari_atomseg.networks.card import read_card

    settings = {**chosen, **{k: v for k, v in options.items() if k not in ("progress", "model")}}
    path = weights.resolve(options["model"])
    return io.provenance(
        action, target.stem, settings, model=read_card(path).name, sha256=weights.sha256(path)
    )


def _say(line: str) -> None:
    typer.echo(line)


@contextmanager
def _kindly() -> Iterator[Callable[[int, int, str], None]]:
    """A progress bar for the work inside; errors end in one line, Ctrl-C in none."""
    from tqdm import tqdm

    bar = tqdm(total=None, file=sys.stderr, leave=False, disable=not sys.stderr.isatty())

    def progress(done: int, total: int, message: str) -> None:
        bar.total, bar.n = total, done
        bar.set_postfix_str(message, refresh=False)
        bar.refresh()
        if bar.disable and "validation_loss" in message:
            sys.stderr.write(f"{done}/{total} {message}\n")

    try:
        yield progress
    except KeyboardInterrupt:
        bar.close()
        typer.echo("stopped", err=True)
        raise typer.Exit(130) from None
    except (OSError, ValueError, TypeError, ImportError, MemoryError, RuntimeError) as error:
        bar.close()
        message = " ".join(str(error).split()) or type(error).__name__
        typer.echo(f"napari-atomseg: {message}", err=True)
        raise typer.Exit(1) from error
    finally:
        bar.close()
