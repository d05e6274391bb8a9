"""Print how the package is cut into modules: sizes, imports, and what stands alone.

    python scripts/structure.py [FOLDER]

FOLDER is src/napari_atomseg unless given. "One importer" counts the modules that exactly one other
module imports (the package's own `__init__` counts as one); import lines are all lines of import
statements, wherever they stand. Nothing is imported, so that any commit can be read:

    git archive COMMIT src | tar -x -C THERE
    python scripts/structure.py THERE/src/napari_atomseg
"""

from __future__ import annotations

import ast
import statistics
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path


@dataclass(frozen=True)
class Module:
    """A file of the package.

    Attributes
    ----------
    name : dotted, below the package.
    lines : of the file.
    import_lines : of them, those of import statements.
    imports : dotted names that are imported from the package, modules or names in modules.
    classes : names of the classes at its top.
    """

    name: str
    lines: int
    import_lines: int
    imports: frozenset[str]
    classes: tuple[str, ...]


def read(path: Path, package: Path) -> Module:
    """The module of a file."""
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    parts = path.relative_to(package.parent).with_suffix("").parts
    name = ".".join(part for part in parts if part != "__init__")
    inside = name if path.name == "__init__.py" else name.rpartition(".")[0]
    statements = [n for n in ast.walk(tree) if isinstance(n, ast.Import | ast.ImportFrom)]
    imports = set(chain.from_iterable(imported(each, inside) for each in statements))
    return Module(
        name,
        len(text.splitlines()),
        sum((each.end_lineno or each.lineno) - each.lineno + 1 for each in statements),
        frozenset(each for each in imports if each.partition(".")[0] == package.name),
        tuple(node.name for node in tree.body if isinstance(node, ast.ClassDef)),
    )


def imported(statement: ast.Import | ast.ImportFrom, inside: str) -> Iterator[str]:
    """Dotted names that a statement in the package `inside` imports."""
    if isinstance(statement, ast.Import):
        yield from (alias.name for alias in statement.names)
        return
    above = inside.split(".")
    base = above[: len(above) - statement.level + 1] if statement.level else []
    source = ".".join([*base, *filter(None, [statement.module])])
    yield from (f"{source}.{alias.name}" for alias in statement.names)


def importers(modules: list[Module]) -> dict[str, set[str]]:
    """The modules that import each module, by its name."""
    names = {each.name for each in modules}
    found: dict[str, set[str]] = defaultdict(set)
    for module in modules:
        for target in module.imports:
            source = target if target in names else target.rpartition(".")[0]
            if source in names and source != module.name:
                found[source].add(module.name)
    return found


def figures(package: Path) -> Iterator[tuple[str, str]]:
    """Name and value of every figure."""
    modules = [read(path, package) for path in sorted(package.rglob("*.py"))]
    lines = [each.lines for each in modules]
    yield "modules", f"{len(modules)}"
    yield "lines", f"{sum(lines):,}"
    yield "median lines", f"{statistics.median(lines):.0f}"
    largest = max(modules, key=lambda each: each.lines)
    yield "largest", f"{largest.lines} ({largest.name})"
    by = importers(modules)
    alone = [each for each in modules if len(by[each.name]) == 1]
    share = sum(each.lines for each in alone)
    yield "modules with one importer", f"{len(alone)} ({share:,} lines)"
    yield "import lines", f"{sum(each.import_lines for each in modules):,}"
    often = Counter(chain.from_iterable(each.classes for each in modules))
    twice = [f"{name} × {count}" for name, count in sorted(often.items()) if count > 1]
    yield "class names defined more than once", f"{len(twice)}: {', '.join(twice)}"
    yield "families of one prefix, three or more", ", ".join(families(package)) or "none"


def families(package: Path) -> Iterator[str]:
    """Sibling modules that share a prefix and are no package."""
    for folder in [package, *sorted(p for p in package.rglob("*") if p.is_dir())]:
        prefixes = Counter(
            path.stem.lstrip("_").partition("_")[0]
            for path in folder.glob("*.py")
            if path.name != "__init__.py"
        )
        for prefix, count in prefixes.items():
            if count > 2:
                yield f"{folder.relative_to(package)}/{prefix} {count}"


def main() -> None:
    """Print the figures."""
    root = Path(__file__).parents[1]
    package = Path(sys.argv[1]) if len(sys.argv) > 1 else root / "src" / "napari_atomseg"
    for name, value in figures(package.resolve()):
        print(f"{name:38}{value}")


if __name__ == "__main__":
    main()
