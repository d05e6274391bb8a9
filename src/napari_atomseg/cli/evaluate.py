"""The command that compares models with baselines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from typer.core import TyperCommand

from napari_atomseg.cli.app import app, print_line, session
from napari_atomseg.cli.options import DatasetOption, Device, FrameOption

if TYPE_CHECKING:
    from napari_atomseg.localization.settings import Refine


class _Listing(TyperCommand):
    """A command whose options, where they may be repeated, take several values at once, too."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Repeat the option before each further value."""
        several = {n for p in self.params if getattr(p, "multiple", False) for n in p.opts}
        repeated: list[str] = []
        option = None
        for word in args:
            if word.startswith("-"):
                option = word if word in several else None
            elif option is not None and repeated[-1] != option:
                repeated.append(option)
            repeated.append(word)
        return super().parse_args(ctx, repeated)


@app.command(cls=_Listing)
def evaluate(
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="Model name, weights file, or folder of images that another program restored; "
            "several may be given; by default stem-hr.",
            show_default=False,
        ),
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(
            help="Data set: a recipe, crystals, multislice, noise, vacuum, amorphous, a folder, or "
            "IMAGE,COLUMNS.csv; several may be given; by default columns.",
            show_default=False,
        ),
    ] = None,
    baseline: Annotated[
        list[str] | None,
        typer.Option(
            help="Baseline: raw, gaussian, wiener, nlm, bm3d, blobs or otsu; several may be given.",
            show_default=False,
        ),
    ] = None,
    dose: Annotated[
        list[float] | None,
        typer.Option(
            help="Dose, e⁻/Å²; several may be given; by default from the recipe.",
            show_default=False,
        ),
    ] = None,
    images: Annotated[
        int, typer.Option(help="Number of images of each simulated data set and dose.")
    ] = 20,
    shape: Annotated[
        tuple[int, int], typer.Option(help="Size of simulated images (rows, columns), px.")
    ] = (256, 256),
    seed: Annotated[int, typer.Option(help="Seed of the simulated images.")] = 0,
    sampling: Annotated[
        float | None, typer.Option(help="Å per pixel, for files without it.", show_default=False)
    ] = None,
    dataset: DatasetOption = None,
    frame: FrameOption = None,
    refine: Annotated[
        str, typer.Option(help="Refinement of positions: none, centroid, gaussian or joint.")
    ] = "gaussian",
    device: Device = "auto",
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder for tables and figures.", show_default=False),
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option(help="Folder for the images and their truth.", show_default=False),
    ] = None,
) -> None:
    """Compare models with baselines on images whose truth is known."""
    with session() as current:
        import pandas as pd

        from napari_atomseg.evaluation import evaluate as compute
        from napari_atomseg.evaluation.report import markdown

        table = compute(
            model or ["stem-hr"],
            data or ["columns"],
            baseline or [],
            doses=dose or (),
            images=images,
            shape=shape,
            seed=seed,
            sampling=sampling,
            dataset=dataset,
            frame=frame,
            refine=cast("Refine", refine),  # checked by `localize`
            device=device,
            out=out,
            export=export,
            progress=current.progress,
            cancel=current.cancel,
        )
        current.clear()
        for line in table.attrs["errors"]:
            current.note(f"failed: {line}")
        print_line(markdown(table, pd.DataFrame(table.attrs["tasks"])).rstrip())
