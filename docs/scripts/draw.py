"""Draw the pictures of the documentation.

    python docs/scripts/draw.py                          list them
    python docs/scripts/draw.py NAME [--output FOLDER]   draw one; --help shows its arguments
    python docs/scripts/draw.py all                      draw all that need no arguments

They go to docs/images unless another folder is named. Each is a module here with a function
`draw(folder, ...)`; what it needs besides the folder it declares in `arguments(parser)`. Pictures
of windows need a screen of at least 1366 x 768 pixels, or `xvfb-run -a -s "-screen 0 1366x768x24"`
before the command. Pictures of the benchmarks are drawn by these: `python -m benchmarks`.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

FOLDER = Path(__file__).parent
IMAGES = FOLDER.parent / "images"
ALL = "all"


def scripts() -> dict[str, ast.Module]:
    """The modules that draw, by name; none of them is imported."""
    trees = {path.stem: ast.parse(path.read_text("utf-8")) for path in sorted(FOLDER.glob("*.py"))}
    return {name: tree for name, tree in trees.items() if _defines(tree, "draw")}


def run(name: str, words: Sequence[str]) -> None:
    """Draw the pictures of one script."""
    module = importlib.import_module(name)
    parser = argparse.ArgumentParser(
        prog=f"python docs/scripts/draw.py {name}",
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--output", type=Path, default=IMAGES, help="folder [docs/images]")
    if hasattr(module, "arguments"):
        module.arguments(parser)
    options = vars(parser.parse_args(words))
    folder = options.pop("output")
    folder.mkdir(parents=True, exist_ok=True)
    module.draw(folder, **options)


def main() -> None:
    """List the scripts, or run those that the command line names."""
    every = scripts()
    if len(sys.argv) < 2:
        for name, tree in every.items():
            sys.stdout.write(f"{name:16}{(ast.get_docstring(tree) or '').partition(chr(10))[0]}\n")
        return
    name, *words = sys.argv[1:]
    if name not in (*every, ALL):
        sys.exit(f"nothing draws {name!r}; there are {', '.join(every)}, {ALL}")
    alone = [each for each, tree in every.items() if not _defines(tree, "arguments")]
    for each in alone if name == ALL else [name]:
        run(each, words)


def _defines(tree: ast.Module, name: str) -> bool:
    return any(isinstance(part, ast.FunctionDef) and part.name == name for part in tree.body)


if __name__ == "__main__":
    main()
