"""Finds the benchmarks, lists them, and runs those that are asked for.

Nothing but the standard library is imported here, and no benchmark but those that run: measured
times and memory are theirs alone, and a peer's environment needs nothing of ours.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

FOLDER = Path(__file__).parent
ALL = "all"


@dataclass(frozen=True)
class Benchmark:
    """A module of a theme that has a function `run`."""

    theme: str
    name: str

    @property
    def summary(self) -> str:
        """First line of its docstring."""
        return _summary(FOLDER / self.theme / f"{self.name}.py")

    def load(self) -> ModuleType:
        """Import it."""
        return importlib.import_module(f"benchmarks.{self.theme}.{self.name}")

    def parser(self) -> argparse.ArgumentParser:
        """The command line of this benchmark."""
        module = self.load()
        parser = argparse.ArgumentParser(
            prog=f"python -m benchmarks {self.theme} {self.name}",
            description=module.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.arguments(parser)
        return parser

    def run(self, options: argparse.Namespace) -> None:
        """Prepare what `benchmarks.options` offers, measure, and print the CPU seconds."""
        if getattr(options, "threads", None):
            import torch

            torch.set_num_threads(options.threads)
        if getattr(options, "pictures", None):
            options.pictures.mkdir(parents=True, exist_ok=True)
        start = time.process_time()
        self.load().run(options)
        seconds = time.process_time() - start
        sys.stderr.write(f"{self.theme} {self.name}: {seconds:.0f} CPU seconds\n")


def themes() -> list[str]:
    """Names of the themes: the folders that are packages."""
    return sorted(path.parent.name for path in FOLDER.glob("*/__init__.py"))


def benchmarks(theme: str) -> list[Benchmark]:
    """The benchmarks of a theme."""
    paths = sorted((FOLDER / theme).glob("*.py"))
    return [Benchmark(theme, path.stem) for path in paths if _runs(_tree(path))]


def listing() -> Iterator[str]:
    """The themes and their benchmarks, a line each."""
    for theme in themes():
        yield f"{theme:18}{_summary(FOLDER / theme / '__init__.py')}"
        for each in benchmarks(theme):
            yield f"  {each.name:16}{each.summary}"
        yield ""


def chosen(theme: str, name: str) -> list[Benchmark]:
    """One benchmark of a theme, or all of them.

    Raises
    ------
    ValueError
        There is no such theme or benchmark.
    """
    if theme not in themes():
        raise ValueError(f"no theme {theme!r}; there are {', '.join(themes())}")
    every = benchmarks(theme)
    names = [each.name for each in every]
    if name not in (*names, ALL):
        raise ValueError(f"no benchmark {name!r} of {theme}; there are {', '.join(names)}, {ALL}")
    return [each for each in every if name in (each.name, ALL)]


def main(words: Sequence[str] | None = None) -> None:
    """List the benchmarks, or run those that the command line names."""
    words = list(sys.argv[1:] if words is None else words)
    if len(words) < 2:
        sys.stdout.write("\n".join(listing()))
        sys.stdout.write("python -m benchmarks THEME NAME|all [ARGUMENTS | --help]\n")
        return
    theme, name, *arguments = words
    try:
        every = chosen(theme, name)
    except ValueError as error:
        sys.exit(str(error))
    # Arguments that do not fit one of them are refused before the first one runs.
    ready = [(each, each.parser().parse_args(arguments)) for each in every]
    for each, options in ready:
        each.run(options)


def elsewhere(python: Path, *words: str) -> None:
    """Run a benchmark in the environment of a peer, whose packages are its own.

    Raises
    ------
    subprocess.CalledProcessError
        It failed.
    """
    surroundings = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [str(python.absolute()), "-m", "benchmarks", *words]
    subprocess.run(command, check=True, cwd=FOLDER.parent, env=surroundings)


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _runs(tree: ast.Module) -> bool:
    return any(isinstance(part, ast.FunctionDef) and part.name == "run" for part in tree.body)


def _summary(path: Path) -> str:
    return (ast.get_docstring(_tree(path)) or "").partition("\n")[0]
