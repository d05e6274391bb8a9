"""Variables of MATLAB files, of both of its formats."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_USER_BLOCK = 512
"""Bytes of MATLAB's own before HDF5 begins."""


class MatlabObject:
    """A variable that is an object of a class, whose content only MATLAB reads."""

    def __init__(self, name: str, kind: str) -> None:
        self.name, self.kind = name, kind


def read_variables(path: Path) -> dict[str, Any]:
    """Variables by name: structures as dictionaries, cells as lists, arrays with MATLAB's axes.

    Objects of classes come as `MatlabObject`. A damaged file raises any exception.
    """
    with path.open("rb") as file:
        head = file.read(_USER_BLOCK + len(_SIGNATURE))
    if _SIGNATURE in (head[: len(_SIGNATURE)], head[_USER_BLOCK:]):
        return _version_73(path)
    return _version_5(path)


def save_as_structure(objects: list[MatlabObject]) -> str:
    """What to do in MATLAB so that variables which are objects can be read."""
    names = " and ".join(f"{each.name} ({each.kind})" for each in objects)
    one = objects[0].name
    verb = "are objects" if len(objects) > 1 else "is an object"
    return (
        f"{names} {verb} of a class, which only MATLAB opens; there, run "
        f"{one} = struct({one}); save('plain.mat', '{one}'), and read that file"
    )


def _version_5(path: Path) -> dict[str, Any]:
    from scipy.io import loadmat
    from scipy.io.matlab import MatlabOpaque

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SciPy calls every object None, and warns of duplicates
        content = loadmat(str(path), simplify_cells=True)
    variables: dict[str, Any] = {}
    for name, value in content.items():
        if isinstance(value, MatlabOpaque):
            entry = np.ravel(value)[0]
            known = MatlabObject(_text(entry["s0"]), _text(entry["s2"]))
            variables[known.name] = known
        elif not str(name).startswith("__"):
            variables[name] = value
    return variables


def _text(value: Any) -> str:
    return value.decode("ascii", errors="replace") if isinstance(value, bytes) else str(value)


def _version_73(path: Path) -> dict[str, Any]:
    """Variables saved with -v7.3, which is HDF5."""
    import h5py

    def value(name: str, node: Any, file: Any) -> Any:
        kind = _text(node.attrs.get("MATLAB_class", b""))
        if "MATLAB_object_decode" in node.attrs:
            return MatlabObject(name, kind)
        if isinstance(node, h5py.Group):
            return {child: value(child, each, file) for child, each in node.items()}
        data = node[()]
        if node.attrs.get("MATLAB_empty"):
            return np.zeros((0, 0))
        if kind == "char":
            return "".join(map(chr, np.ravel(data)))
        if kind == "cell":
            return [value(name, file[reference], file) for reference in np.ravel(data)]
        return np.transpose(data)

    with h5py.File(path) as file:
        return {
            name: value(name, node, file) for name, node in file.items() if not name.startswith("#")
        }
