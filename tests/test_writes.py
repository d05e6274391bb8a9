"""Files are written whole or not at all: what the code writes to is never the result itself.

It is read from the code. A path that is written must come from `whole_file` or `whole_folder`, be
in a temporary folder, or be one of the few that are explained below.
"""

import ast
import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "napari_atomseg"

OF_PATHS = {"write_text", "write_bytes", "touch", "tofile", "open"}
"""Methods that write to the path whose they are."""
FIRST = {"to_csv", "to_json", "to_excel", "to_hdf", "to_pickle", "to_zarr", "savefig", "open"} | {
    *("savez", "savez_compressed", "savetxt", "imwrite", "imsave", "save_file"),
    *("File", "ZipFile", "open_group"),
}
"""Functions that write to their first argument."""
OF_MODULES = {"np": {"save"}, "torch": {"save"}, "shutil": {"copy", "copy2", "copyfile", "move"}}
SECOND = {"torch", "shutil"}
"""Of these, those whose functions write to their second argument."""
MODES = {"File": "wax", "ZipFile": "wax", "open_group": "w", "open": "wax+"}
"""Letters of a mode with which a function writes that can also read."""
TEXTS = {"to_csv", "to_json"}
"""Functions that return a text where they get no path."""

UNFINISHED = {"partial", "stream", "buffer", "whole_file", "TemporaryDirectory", "BytesIO"}
"""Names of paths and streams of which nothing stays, and of what gives them."""

EXPLAINED = {
    "_shared/download.py": "a download that a later call continues, and its server's mark",
}


_MAY = re.compile(rf"\b({'|'.join(OF_PATHS | FIRST | set.union(*OF_MODULES.values()))})\(")
Write = tuple[ast.Call, str, ast.expr | None]


def calls(nodes: Sequence[ast.AST]) -> Iterator[Write]:
    """Calls that may write a file, with the name of the function and what they write to."""
    for node in nodes:
        if not isinstance(node, ast.Call):
            continue
        function, first = node.func, node.args[0] if node.args else None
        if isinstance(function, ast.Name):
            name, owner = function.id, None
        elif isinstance(function, ast.Attribute):
            name, owner = function.attr, function.value
        else:
            continue
        if name in MODES and not _writes(node, MODES[name]):
            continue
        module = owner.id if isinstance(owner, ast.Name) else ""
        if name in OF_MODULES.get(module, ()):
            yield node, name, node.args[1] if module in SECOND else first
        elif owner is not None and name in OF_PATHS and module != "os":
            yield node, name, owner
        elif name in FIRST and module != "os":
            yield node, name, first


def _writes(call: ast.Call, letters: str) -> bool:
    given = [*call.args, *(each.value for each in call.keywords if each.arg == "mode")]
    texts = [each.value for each in given if isinstance(each, ast.Constant)]
    modes = [text for text in texts if isinstance(text, str) and len(text) < 4]
    return any(set(mode) & set(letters) for mode in modes)


def names(expression: ast.expr) -> set[str]:
    """All names in an expression."""
    nodes = list(ast.walk(expression))
    found = {node.id for node in nodes if isinstance(node, ast.Name)}
    return found | {node.attr for node in nodes if isinstance(node, ast.Attribute)}


def unfinished(nodes: Sequence[ast.AST]) -> set[str]:
    """Names in a function of what is not a result yet: those above, and what is made from them."""
    made = [
        (node.optional_vars.id, names(node.context_expr))
        for node in nodes
        if isinstance(node, ast.withitem) and isinstance(node.optional_vars, ast.Name)
    ]
    made += [
        (node.targets[0].id, names(node.value))
        for node in nodes
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    ]
    found = set(UNFINISHED)
    for _ in made:
        found |= {name for name, source in made if source & found}
    return found


@cache
def written() -> list[tuple[str, Write, set[str]]]:
    """All such calls of the package, with their module and the unfinished names around them."""
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        for part in ast.parse(text).body if _MAY.search(text) else ():
            nodes = list(ast.walk(part))
            writes = list(calls(nodes))
            known = unfinished(nodes) if writes else set()
            found += [(path.relative_to(SOURCE).as_posix(), each, known) for each in writes]
    return found


@pytest.mark.slow
def test_no_file_is_written_in_place():
    wrong, explained = [], set()
    for place, (call, name, target), known in written():
        if (target is None and name in TEXTS) or (target and names(target) & known):
            continue
        if place in EXPLAINED:
            explained.add(place)
        else:
            wrong.append(f"{place}:{call.lineno} {name}")
    assert not wrong
    assert explained == set(EXPLAINED)


def test_tables_are_written_so_that_no_spreadsheet_runs_them():
    wrong = [
        f"{place}:{call.lineno}"
        for place, (call, name, target), _ in written()
        if name == "to_csv" and target is not None and "spreadsheet_safe" not in names(call.func)
    ]
    assert not wrong
