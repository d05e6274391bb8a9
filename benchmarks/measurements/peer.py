"""A peer measures the scenes of a folder, in an environment of its own.

    atomap/bin/python -m benchmarks measurements peer atomap FOLDER

`measurements peers` writes the scenes and runs this. For each, `FOLDER/PEER/NAME.npz` has the
answer, the CPU seconds and the lines of the recipe, or `NAME.error` what failed. This file needs
nothing of napari-atomseg.
"""

import argparse
import ast
import importlib
import importlib.metadata
import platform
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np

from benchmarks.measurements.recipes.scene import Scene

RECIPES = Path(__file__).parent / "recipes"
HERE = "benchmarks.measurements.recipes"
CLICKS = "click"
"""Function of a recipe that stands for the mouse, whose lines no user writes."""


def script(name: str) -> dict[str, ast.FunctionDef]:
    """The functions that a recipe's `measure` needs, those of other recipes included."""
    known = dict(functions(name))
    needed, waiting = {}, ["measure"]
    while waiting:
        each = waiting.pop()
        if each in known and each not in needed and each != CLICKS:
            needed[each] = known[each]
            waiting += [part.id for part in ast.walk(known[each]) if isinstance(part, ast.Name)]
    return needed


def functions(name: str) -> Iterator[tuple[str, ast.FunctionDef]]:
    """The functions of a recipe, after those of the recipes that it imports."""
    tree = ast.parse((RECIPES / f"{name}.py").read_text(encoding="utf-8"))
    for each in tree.body:
        if isinstance(each, ast.ImportFrom) and (each.module or "").startswith(f"{HERE}."):
            yield from functions(str(each.module).rpartition(".")[2])
    for each in tree.body:
        if isinstance(each, ast.FunctionDef):
            yield each.name, each


def lines(name: str) -> int:
    """Lines of a recipe without its comments, docstrings, signatures and empty lines."""
    total = 0
    for each in script(name).values():
        body = each.body[1:] if ast.get_docstring(each) else each.body
        total += len([line for line in ast.unparse(body).splitlines() if line.strip()])
    return total


def load(name: str) -> float:
    """Import what a recipe imports; the CPU seconds that it takes."""
    start = time.process_time()
    for each in script(name).values():
        for part in ast.walk(each):
            if isinstance(part, ast.Import):
                for alias in part.names:
                    importlib.import_module(alias.name)
            if isinstance(part, ast.ImportFrom):
                importlib.import_module(str(part.module))
    return time.process_time() - start


def arguments(parser: argparse.ArgumentParser) -> None:
    """Whose recipe, and where the scenes are."""
    parser.add_argument("peer", help="name of a recipe")
    parser.add_argument("folder", type=Path)


def run(options: argparse.Namespace) -> None:
    """Measure each scene that has no answer yet, and keep the errors of those that fail."""
    recipe = importlib.import_module(f"{HERE}.{options.peer}")
    target = options.folder / options.peer
    target.mkdir(exist_ok=True)
    about = {
        "version": importlib.metadata.version(recipe.PACKAGE),
        "python": platform.python_version(),
        "lines": lines(options.peer),
        "repaired": getattr(recipe, "REPAIRED", ""),
    }
    scenes = [p for p in sorted(options.folder.glob("*.npz")) if not (target / p.name).exists()]
    loading = load(options.peer) if scenes else 0.0
    for path in scenes:
        start = time.process_time()
        try:
            answer = asdict(recipe.measure(Scene.load(path)))
        except Exception as error:
            message = f"{type(error).__name__}: {error}".splitlines()[0]
            print(f"{options.peer} on {path.stem}: {message}")
            (target / f"{path.stem}.error").write_text(message, encoding="utf-8")
            continue
        seconds = time.process_time() - start
        np.savez(target / path.name, seconds=seconds, loading=loading, **about, **answer)
        (target / f"{path.stem}.error").unlink(missing_ok=True)
