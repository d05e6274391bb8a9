"""Variables of MATLAB files, also objects of classes, which are read as their properties.

scipy and h5py read numbers, text, cells and structures. Objects of classes stand elsewhere in the
file, in a part that MATLAB does not document (the *subsystem*): a list of values, and as its first
entry a table of names, classes and properties, which `_Objects` follows. The layout was worked out
by others; see the notes of mat-io (https://github.com/foreverallama/matio).
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_atomseg.io.tried import MATLAB, try_file

_HDF5 = b"\x89HDF\r\n\x1a\n"
_OBJECT = 0xDD000000
"""First number of an array that stands for objects."""
_REGIONS = slice(8, 40)
"""Where the table of objects has the offsets of its parts."""
_STATED, _FIRST = 1, 2
"""Flag of a property whose value is in the list, and the place of the first value there."""


class MatlabObject(dict[str, Any]):
    """Properties of an object by name; those that still have their default value are missing.

    Attributes
    ----------
    kind : name of its class.
    read : whether its properties could be read.
    """

    def __init__(self, kind: str, properties: Mapping[str, Any] | None = None) -> None:
        super().__init__(properties or {})
        self.kind, self.read = kind, properties is not None


def read_variables(path: Path) -> dict[str, Any]:
    """Variables of a MATLAB file of any version, by name.

    Structures are dictionaries, objects of classes `MatlabObject`, cells lists, text `str`;
    numbers are arrays with MATLAB's axes, or single ones. A damaged file raises any exception.
    """
    if not _is_hdf5(path):
        try_file(path, MATLAB)  # scipy reads counts that are too large beyond the end of its memory
        return _binary(path)
    try_file(path)
    return _hdf5(path)


def save_as_structure(variables: Mapping[str, Any]) -> str:
    """What to do in MATLAB for variables that are objects and could not be read; "" for none."""
    objects = {
        name: value.kind
        for name, value in variables.items()
        if isinstance(value, MatlabObject) and not value.read
    }
    if not objects:
        return ""
    names = " and ".join(f"{name} ({kind})" for name, kind in objects.items())
    verb = "is an object" if len(objects) == 1 else "are objects"
    one = next(iter(objects))
    return (
        f"{names} {verb} of a class, which only MATLAB opens; there, run "
        f"{one} = struct({one}); save('plain.mat', '{one}'), and read that file"
    )


def _is_hdf5(path: Path) -> bool:
    """Whether MATLAB saved with -v7.3: the HDF5 signature follows 512 bytes of its own."""
    with path.open("rb") as file:
        head = file.read(520)
    return _HDF5 in (head[:8], head[512:520])


class _Objects:
    """Objects of a file, from its list of values.

    Parameters
    ----------
    values : the first is the table of objects, bytes.
    """

    def __init__(self, values: Sequence[Any], order: str = "<") -> None:
        self.values = values
        raw = np.asarray(values[0]).astype(np.uint8).ravel().tobytes()
        whole = np.dtype(f"{order}u4")
        starts = np.frombuffer(raw[_REGIONS], whole).astype(int).tolist()
        count = int(np.frombuffer(raw[4:8], whole)[0])
        self.names = [name.decode() for name in raw[40 : starts[0]].split(b"\0")[:count]]
        parts = [np.frombuffer(raw[a:b], whole) for a, b in itertools.pairwise(starts[:5])]
        classes, saved, objects, stated = parts
        self.classes = classes.reshape(-1, 4)[:, 1].tolist()
        self.objects = objects.reshape(-1, 6)[:, [0, 3, 4]].tolist()
        self.saved, self.stated = _blocks(saved), _blocks(stated)

    def read(self, number: int) -> MatlabObject:
        """Properties of an object by its number, from 1."""
        kind, saved, stated = self.objects[number]
        block = self.saved[saved] if saved else self.stated[stated]
        found = {
            self.names[name - 1]: self.values[value + _FIRST]
            for name, flag, value in block
            if flag == _STATED
        }
        return MatlabObject(self.names[self.classes[kind] - 1], found)


def _blocks(numbers: NDArray[Any]) -> list[NDArray[Any]]:
    """Blocks of (name, flag, value): each has its length before it and fills whole 8 bytes."""
    blocks, start = [], 0
    while start < len(numbers):
        count = int(numbers[start])
        stop = start + 1 + 3 * count
        blocks.append(numbers[start + 1 : stop].reshape(-1, 3).astype(int))
        start = stop + stop % 2
    return blocks


def _object_of(reference: Any, kind: str, objects: _Objects | None) -> MatlabObject:
    """Object, or the first of an array of objects, that a reference stands for."""
    numbers = np.ravel(reference).astype(int).tolist()
    try:
        if objects is None or numbers[0] != _OBJECT:
            raise ValueError("not a reference to an object")
        return objects.read(numbers[2 + numbers[1]])
    except (ValueError, IndexError, TypeError):
        return MatlabObject(kind)


def _binary(path: Path) -> dict[str, Any]:
    """Variables of a file before -v7.3."""
    from scipy.io import loadmat
    from scipy.io.matlab import MatlabOpaque, matfile_version, varmats_from_mat

    with path.open("rb") as file:
        if matfile_version(file)[0] == _VERSION_4:  # type: ignore[arg-type]
            old = loadmat(file)  # type: ignore[arg-type]
            return {k: _plain(v, None) for k, v in old.items() if k not in _HEADER}
        # Streams are read as well as paths, of which alone the stubs know.
        loaded: list[Any] = [loadmat(part) for _, part in varmats_from_mat(file)]  # type: ignore[arg-type]
    parts = [{k: v for k, v in each.items() if k not in _HEADER} for each in loaded]
    objects = None
    for each in parts:
        if _WORKSPACE in each:
            objects = _subsystem(each[_WORKSPACE])
    result: dict[str, Any] = {}
    for each in parts:
        for name, value in each.items():
            if isinstance(value, MatlabOpaque):
                stated, _, kind, reference = (
                    value[0][field] for field in ("s0", "s1", "s2", "arr")
                )
                result[stated.decode()] = _object_of(reference, kind.decode(), objects)
            elif name != _WORKSPACE:
                result[name] = _plain(value, objects)
    return result


_VERSION_4 = 0
"""What scipy says of the files of MATLAB 4, which hold nothing but arrays."""
_HEADER = ("__header__", "__version__", "__globals__")
_WORKSPACE = "__function_workspace__"
"""Name that scipy gives the subsystem."""


def _subsystem(workspace: NDArray[Any]) -> _Objects | None:
    """Objects of the subsystem, which is a MATLAB file with a short header; None without any."""
    from scipy.io import loadmat
    from scipy.io.matlab import varmats_from_mat

    raw = workspace.tobytes()
    try:
        whole = io.BytesIO(b"MATLAB 5.0 MAT-file".ljust(124) + raw[:4] + raw[8:])
        (_, first), *_ = varmats_from_mat(whole)
        content: Any = loadmat(first)  # type: ignore[arg-type]
        (found,) = (value for name, value in content.items() if name not in _HEADER)
        values = found["MCOS"].item()[0]["arr"].ravel().tolist()
        objects = _Objects(values, "<" if raw[2:4] == b"IM" else ">")
        objects.values = [_plain(value, objects) for value in values]
    except Exception:  # an undocumented layout may differ in any way
        return None
    return objects


def _plain(value: Any, objects: _Objects | None) -> Any:
    """A value of scipy as `read_variables` returns it."""
    if not isinstance(value, np.ndarray):
        return value
    if value.dtype.names == ("s0", "s1", "s2", "arr"):
        return _object_of(value["arr"].ravel()[0], value["s2"].ravel()[0].decode(), objects)
    if value.dtype.names:
        found = [
            {name: _plain(each[name], objects) for name in value.dtype.names}
            for each in value.ravel()
        ]
        return found[0] if len(found) == 1 else found
    if value.dtype == object:
        return [_plain(each, objects) for each in value.ravel(order="F")]
    if value.dtype.kind == "U":
        return str(value.ravel()[0]) if value.size == 1 else [str(each) for each in value.ravel()]
    if value.dtype == np.uint32 and value.size > 4 and value.ravel()[0] == _OBJECT:
        return _object_of(value, "", objects)
    return _single(value)


def _single(value: NDArray[Any]) -> Any:
    """An array, or the number of an array of one: MATLAB has no other numbers."""
    return value.item() if value.size == 1 and value.dtype.kind in "buifc" else value


def _hdf5(path: Path) -> dict[str, Any]:
    """Variables of a -v7.3 file."""
    import h5py

    with h5py.File(path) as file:
        objects = None
        if "#subsystem#/MCOS" in file:
            references = np.ravel(file["#subsystem#/MCOS"][()])
            try:
                objects = _Objects([_node(file[each], file, None) for each in references])
                objects.values = [_node(file[each], file, objects) for each in references]
            except Exception:  # an undocumented layout may differ in any way
                objects = None
        return {
            name: _node(node, file, objects)
            for name, node in file.items()
            if not name.startswith("#")
        }


def _node(node: Any, file: Any, objects: _Objects | None) -> Any:
    """A group or data set of a -v7.3 file as `read_variables` returns it."""
    import h5py

    if isinstance(node, h5py.Group):
        return {name: _node(child, file, objects) for name, child in node.items()}
    data = node[()]
    kind = node.attrs.get("MATLAB_class", b"")
    kind = kind.decode() if isinstance(kind, bytes) else str(kind)
    if node.attrs.get("MATLAB_object_decode", 0) == 3 and kind != "FileWrapper__":
        return _object_of(data, kind, objects)
    if node.attrs.get("MATLAB_empty", 0):
        return np.zeros(tuple(np.ravel(data).astype(int)))
    if kind == "char":
        return "".join(map(chr, np.ravel(data)))
    if kind == "cell":
        return [_node(file[reference], file, objects) for reference in np.ravel(data)]
    return _single(np.transpose(data))
