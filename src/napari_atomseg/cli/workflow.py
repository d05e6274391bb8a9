"""The commands that apply a workflow to images, and that find the workflow of a result."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from napari_atomseg.cli.app import app, print_line, session
from napari_atomseg.cli.options import (
    DatasetOption,
    FrameOption,
    Images,
    SamplingOption,
    hooks,
    image_files,
)


@app.command("run")
def run_workflow(
    workflow: Annotated[Path, typer.Argument(help="Workflow, as YAML.")],
    images: Images,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="Folder for the results: one folder an image, and the table results.csv.",
            show_default=False,
        ),
    ],
    sampling: SamplingOption = None,
    dataset: DatasetOption = None,
    frame: FrameOption = None,
    frames: Annotated[
        bool, typer.Option("--frames", help="Take each frame of a stack as an image of its own.")
    ] = False,
    scheduler: Annotated[
        str | None,
        typer.Option(
            help="Address of a dask scheduler whose workers share the work, such as "
            "tcp://host:8786; it needs the extra cluster.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Apply a workflow to images; run it again to do only what is missing."""
    with session() as current:
        from napari_atomseg.workflow import FileResult, ImageFile, Workflow, run_files, summary_of
        from napari_atomseg.workflow import frames as frames_in

        def show(result: FileResult) -> None:
            current.clear()
            if result.status == "failed":
                current.fail(ValueError(f"{result.image}: {result.reason}"))
                return
            count = "done" if result.columns is None else f"{result.columns} columns"
            before = " (done before)" if result.kept else ""
            print_line(f"{result.image}: {count}{before}")

        steps = Workflow.load(workflow)
        if frames and frame is not None:
            raise ValueError("--frame is one frame of each stack, and --frames are all: choose one")
        files = [
            each
            for path in images
            for file in image_files(path)
            for each in (frames_in(file, dataset) if frames else [ImageFile(file, dataset, frame)])
        ]
        client: Any = None
        if scheduler is not None:
            from distributed import Client

            client = Client(scheduler)  # type: ignore[no-untyped-call]
        try:
            found = run_files(
                steps, files, output, sampling=sampling, client=client, done=show, **hooks(current)
            )
        finally:
            if client is not None:
                client.close()
        print_line(f"{summary_of(found)} → {output}")


@app.command()
def history(
    result: Annotated[Path, typer.Argument(help="File of a result: an image or a table.")],
    python: Annotated[
        bool, typer.Option("--python", help="Print a Python script that makes it again.")
    ] = False,
    commands: Annotated[
        bool, typer.Option("--commands", help="Print the commands that make it again.")
    ] = False,
    workflow: Annotated[
        Path | None,
        typer.Option(help="Write its workflow to this file, as YAML.", show_default=False),
    ] = None,
) -> None:
    """Print how a result was made, from the image file on, and repeat it."""
    with session() as current:
        from napari_atomseg.workflow import WorkflowError, described_file, history_of

        found = history_of(described_file(result))
        if python:
            print_line(found.python().rstrip())
        elif commands:
            print_line("\n".join(found.commands()))
        else:
            for number, line in enumerate(found.lines):
                print_line(f"{number}. {line}" if number else line)
        if workflow is not None and found.workflow is not None:
            found.workflow.save(workflow)
            print_line(f"{result} → {workflow}")
        elif found.workflow is None:
            current.fail(WorkflowError(f"{result}: {found.problem}"))
