"""Run as a program: reads the headers of the files that its standard input names, see `tried`.

Imports as little as it can, so that it starts in a fraction of a second.
"""

from __future__ import annotations

import importlib
import json
import logging
import sys
import warnings
from pathlib import Path
from typing import Any

MATLAB = "scipy.io.loadmat"
"""In place of a plugin of RosettaSciIO: MATLAB files before -v7.3."""
NODES, DEEPEST = 100_000, 64
"""Groups and data sets of an HDF5 file, and levels of them."""


def fault_of(order: dict[str, Any]) -> str:
    """What forbids to read a file; "" for nothing that its reader would not say itself."""
    path, plugin = order["path"], order["plugin"]
    _limit_memory(max(order["memory"], 4 * Path(path).stat().st_size))
    try:
        if not plugin:
            return _fault_of_hdf5(path)
        if plugin == MATLAB:
            from scipy.io import loadmat

            loadmat(path)
            return ""
        reader = importlib.import_module(f"rsciio.{plugin}").file_reader
        try:
            reader(path, lazy=True, **order["options"])
        except NotImplementedError:
            reader(path, **order["options"])
    except MemoryError:
        return "damaged: reading its header takes too much memory"
    except RecursionError:
        return "damaged: what it holds is nested too deeply"
    except Exception:
        return ""
    return ""


def _fault_of_hdf5(path: str) -> str:
    import h5py

    with h5py.File(path) as file:
        todo: list[tuple[Any, int]] = [(file, 0)]
        seen: set[Any] = set()
        count = 0
        while todo:
            group, depth = todo.pop()
            if depth > DEEPEST:
                return f"damaged: its groups are nested deeper than {DEEPEST} levels"
            _ = dict(group.attrs)
            for name in group:
                count += 1
                if count > NODES:
                    return f"damaged: it holds more than {NODES} groups and data sets"
                fault, inside = _look(group, name, seen)
                if fault:
                    return fault
                if inside is not None:
                    todo.append((inside, depth + 1))
    return ""


def _look(group: Any, name: str, seen: set[Any]) -> tuple[str, Any]:
    """What forbids to read a node, and the node where it is a group that was not seen before."""
    import h5py

    link = group.get(name, getlink=True)
    if isinstance(link, h5py.ExternalLink) and not _beside(group.file.filename, link.filename):
        return _elsewhere(f"{group.name}/{name}", link.filename), None
    try:
        node = group[name]
    except (KeyError, OSError):  # a link that leads nowhere
        return "", None
    if isinstance(node, h5py.Dataset):
        _ = node.shape, node.dtype, dict(node.attrs)
        return _fault_of_data(node, DEEPEST), None
    about = h5py.h5o.get_info(node.id)
    place = about.fileno, about.addr
    if place in seen or not isinstance(node, h5py.Group):
        return "", None
    seen.add(place)
    return "", node


def _fault_of_data(data: Any, levels: int) -> str:
    """What forbids to read an array: bytes of any file as its numbers, or files elsewhere."""
    import h5py

    if data.external:
        return _elsewhere(data.name, data.external[0][0])
    if not data.is_virtual:
        return ""
    if levels == 0:
        return f"damaged: {data.name} is made of others that are made of others, and so on"
    for source in data.virtual_sources():
        if source.file_name == ".":
            fault = _fault_of_data(data.file[source.dset_name], levels - 1)
        elif _beside(data.file.filename, source.file_name):
            with h5py.File(Path(data.file.filename).parent / source.file_name) as file:
                fault = _fault_of_data(file[source.dset_name], levels - 1)
        else:
            fault = _elsewhere(data.name, source.file_name)
        if fault:
            return fault
    return ""


def _beside(path: str, other: str) -> bool:
    """Whether a name is that of a file in the same folder, as detectors write them."""
    folder = Path(path).parent.resolve()
    return (folder / other).resolve().parent == folder


def _elsewhere(name: str, other: str) -> str:
    return f"{name} is kept in another file ({other}), which is not opened"


def _limit_memory(limit: int) -> None:
    try:
        import resource
    except ImportError:  # Windows has no such limits
        return
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (limit, most))


def main() -> None:
    """Answer every line of standard input by one of standard output."""
    warnings.simplefilter("ignore")
    logging.disable()
    answers = sys.stdout
    sys.stdout = sys.stderr  # readers print
    for line in sys.stdin:
        answers.write(json.dumps({"fault": fault_of(json.loads(line))}) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
