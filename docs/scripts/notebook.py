"""The notebooks, run from the first to the last cell, with what they print; needs a screen."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
PATIENCE = 600
"""Seconds a cell."""
WIDTH, COLOURS = 1000, 128
PNG = "image/png"


def draw(folder: Path) -> None:
    """Run every notebook in its place."""
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        execute(notebook, path.parent)
        for cell in notebook.cells:
            cell.metadata.pop("execution", None)  # times of day
            for output in cell.get("outputs", ()):
                if PNG in output.get("data", {}):
                    output.data = {PNG: smaller(output.data[PNG])}
        nbformat.write(notebook, path)


def execute(notebook: nbformat.NotebookNode, folder: Path) -> None:
    """Run the cells of a notebook in a kernel of their own.

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        A cell failed.
    """
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=PATIENCE, resources=resources).execute()


def smaller(encoded: str) -> str:
    """Return a picture (PNG, base 64) no wider than `WIDTH` and in few colours."""
    picture = Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGB")
    picture.thumbnail((WIDTH, WIDTH), Image.Resampling.LANCZOS)
    written = io.BytesIO()
    picture.quantize(COLOURS).save(written, "png", optimize=True)
    return base64.b64encode(written.getvalue()).decode("ascii")
