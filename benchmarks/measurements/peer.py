"""A peer measures the scenes of a folder, in an environment of its own.

    atomap/bin/python -m benchmarks measurements peer atomap FOLDER

`measurements peers` writes the scenes and runs this. For each, `FOLDER/PEER/NAME.npz` has the
answer, the CPU seconds and the lines of the recipe. This file needs nothing of napari-atomseg.
"""

import argparse
import ast
import importlib
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np

from benchmarks.measurements.recipes.scene import Scene

RECIPES = Path(__file__).parent / "recipes"


def lines(name: str) -> int:
    """Lines of a recipe without its comments, docstrings, signatures and empty lines."""
    total = 0
    tree = ast.parse((RECIPES / f"{name}.py").read_text(encoding="utf-8"))
    for each in tree.body:
        if isinstance(each, ast.FunctionDef):
            whole = ast.unparse(each.body[1:]) if ast.get_docstring(each) else ast.unparse(each)
            total += len([line for line in whole.splitlines() if line.strip()])
    return total


def arguments(parser: argparse.ArgumentParser) -> None:
    """Whose recipe, and where the scenes are."""
    parser.add_argument("peer", help="name of a recipe")
    parser.add_argument("folder", type=Path)


def run(options: argparse.Namespace) -> None:
    """Measure each scene that has no answer yet, and print the errors of those that fail."""
    measure = importlib.import_module(f"benchmarks.measurements.recipes.{options.peer}").measure
    target = options.folder / options.peer
    target.mkdir(exist_ok=True)
    for path in sorted(options.folder.glob("*.npz")):
        if (target / path.name).exists():
            continue
        scene = Scene.load(path)
        start = time.process_time()
        try:
            answer = asdict(measure(scene))
        except Exception as error:
            print(f"{options.peer} on {scene.name}: {type(error).__name__}: {error}")
            continue
        seconds = time.process_time() - start
        np.savez(target / path.name, seconds=seconds, lines=lines(options.peer), **answer)
