"""Damaged files of every format: read, or refused by an error that names the file.

    python -m benchmarks robustness fuzz [--mutations 60] [--only "dm3" "ser"] [--seed 0]
    python -m benchmarks robustness fuzz --only "dm3" --number 17 --keep FOLDER

Small valid files (see `seeds`) are cut, flipped in bits, overwritten with random bytes, extreme
counts and lengths, swapped in byte order, doubled in part and, where they are text, given absurd
words. Each is read in another process, as the window and the commands read it. What holds is a
result, or an OSError or ValueError that names the file, within 10 s of processor time and 2 GB,
with no file written. A line a format is printed, and each failure with the number that makes it
again.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import tables
from benchmarks.robustness import seeds

SECONDS = 10.0
"""Of processor time that a file may take."""
MEMORY = 2e9
"""Bytes that a file may add to the memory of the program."""
HANGS = 90.0
"""Seconds on the clock after which a file is taken to hang."""
HEAD = 512
"""Bytes at the begin and at the end of a file that are damaged more often: headers lie there."""
EXTREMES = (0, 1, -1, 127, 2**16 - 1, 2**31 - 1, -(2**31), 2**32 - 1, 2**40, 2**63 - 1)
WORDS = (
    b"nan", b"-inf", b"1e999", b"-1", b"0", b"9" * 400, b"null", b"true", b"[" * 2000, b"{" * 2000,
    b'"', b"'", b"\0", b"\xff\xfe", b"\r", b"\n\n", b"- ", b"&a [*a, *a]", b"!!python/none", b"1_0",
    b"../../a", b"/etc/passwd", b"=1+1", b"\x1b[31m", b"a" * 70000, b"x: ", b",", b";", b"\t",
)  # fmt: skip
"""What is put into texts."""

READ, REFUSED = "read", "refused"


@dataclass(frozen=True)
class Case:
    """One damaged file."""

    format: str
    number: int
    path: Path
    what: str
    kind: str


# Damage


def damaged(data: bytes, rng: np.random.Generator) -> tuple[bytes, str]:
    """Other bytes than those of a file, and what was done to them."""
    name = str(rng.choice(list(_DAMAGES)))
    return _DAMAGES[name](bytearray(data), rng), name


def _place(data: bytearray, rng: np.random.Generator) -> int:
    size = max(len(data), 1)
    where = int(rng.integers(3))
    if where == 0:
        return int(rng.integers(size))
    near = int(rng.integers(min(HEAD, size)))
    return near if where == 1 else size - 1 - near


def _cut(data: bytearray, rng: np.random.Generator) -> bytes:
    return bytes(data[: _place(data, rng)])


def _flip(data: bytearray, rng: np.random.Generator) -> bytes:
    for _ in range(int(rng.integers(1, 9))):
        place = _place(data, rng)
        if place < len(data):
            data[place] ^= 1 << int(rng.integers(8))
    return bytes(data)


def _noise(data: bytearray, rng: np.random.Generator) -> bytes:
    place, size = _place(data, rng), int(rng.integers(1, 65))
    data[place : place + size] = rng.bytes(size)
    return bytes(data)


def _extreme(data: bytearray, rng: np.random.Generator) -> bytes:
    size, order = int(rng.choice([2, 4, 8])), str(rng.choice(["little", "big"]))
    for _ in range(int(rng.integers(1, 4))):
        value = int(rng.choice(np.array(EXTREMES, dtype=object))) % 2 ** (8 * size)
        place = _place(data, rng)
        place -= place % 2
        data[place : place + size] = value.to_bytes(size, order)  # type: ignore[arg-type]
    return bytes(data)


def _swap(data: bytearray, rng: np.random.Generator) -> bytes:
    size = int(rng.choice([2, 4, 8]))
    place = _place(data, rng) // size * size
    end = min(place + size * int(rng.integers(1, 33)), len(data) // size * size)
    words = np.frombuffer(bytes(data[place:end]), f"V{size}")
    data[place:end] = b"".join(bytes(each)[::-1] for each in words.tolist())
    return bytes(data)


def _double(data: bytearray, rng: np.random.Generator) -> bytes:
    place, size = _place(data, rng), int(rng.integers(1, 257))
    return bytes(data[:place] + data[place : place + size] * int(rng.integers(2, 9)) + data[place:])


def _remove(data: bytearray, rng: np.random.Generator) -> bytes:
    place = _place(data, rng)
    del data[place : place + int(rng.integers(1, 257))]
    return bytes(data)


def _zeros(data: bytearray, rng: np.random.Generator) -> bytes:
    place, size = _place(data, rng), int(rng.integers(8, 513))
    data[place : place + size] = bytes(min(size, len(data) - place))
    return bytes(data)


def _more(data: bytearray, rng: np.random.Generator) -> bytes:
    return bytes(data) + rng.bytes(int(rng.integers(1, 4097)))


def _word(data: bytearray, rng: np.random.Generator) -> bytes:
    """Put a word between two others, or in place of one."""
    place = _place(data, rng)
    end = place
    if rng.integers(2):
        while end < len(data) and chr(data[end]).isalnum():
            end += 1
    data[place:end] = WORDS[int(rng.integers(len(WORDS)))]
    return bytes(data)


_DAMAGES: dict[str, Callable[[bytearray, np.random.Generator], bytes]] = {
    "cut": _cut,
    "flipped": _flip,
    "random bytes": _noise,
    "extreme counts": _extreme,
    "swapped": _swap,
    "doubled": _double,
    "removed": _remove,
    "zeros": _zeros,
    "more": _more,
    "words": _word,
}


def damage(path: Path, rng: np.random.Generator) -> str:
    """Damage a file, or one of the files of a folder; return what was done."""
    if path.is_dir():
        path = sorted(each for each in path.rglob("*") if each.is_file())[
            int(rng.integers(1000)) % sum(each.is_file() for each in path.rglob("*"))
        ]
    data, what = damaged(path.read_bytes(), rng)
    path.write_bytes(data)
    return f"{what} {path.name}"


# Reading


def read(kind: str, path: Path) -> str:
    """Read a file to its numbers; return what it held, in a few words."""
    return _READERS[kind](path)


def _image(path: Path) -> str:
    from napari_atomseg.io import read_images

    found = read_images(path)
    for each in found:
        data = each.data
        if hasattr(data, "dask"):
            data = data[tuple(size // 2 for size in data.shape[:-2])]
        np.asarray(data)
    return f"{len(found)} data sets"


def _columns(path: Path) -> str:
    from napari_atomseg.io import read_columns

    return f"{len(read_columns(path, sampling=seeds.SAMPLING))} columns"


def _weights(path: Path) -> str:
    from napari_atomseg.networks.files import load_weights

    return load_weights(path)[1].name


def _crystal(path: Path) -> str:
    from napari_atomseg.specimen.crystals.builtin import read_crystal

    return f"{len(read_crystal(path))} atoms"


def _recipe(path: Path) -> str:
    from napari_atomseg.simulation import load_recipe

    return type(load_recipe(path)).__name__


def _training(path: Path) -> str:
    from napari_atomseg.training import load_recipe

    return load_recipe(path).name


def _workflow(path: Path) -> str:
    from napari_atomseg.workflow import Workflow

    return f"{len(Workflow.load(path).steps)} steps"


def _library(path: Path) -> str:
    from napari_atomseg.simulation.library.read import open_library

    library = open_library(path)
    for number in range(min(len(library), 4)):
        library[number]
    return f"{len(library)} samples"


_READERS: dict[str, Callable[[Path], str]] = {
    seeds.IMAGE: _image,
    seeds.COLUMNS: _columns,
    seeds.WEIGHTS: _weights,
    seeds.CRYSTAL: _crystal,
    seeds.RECIPE: _recipe,
    seeds.TRAINING: _training,
    seeds.WORKFLOW: _workflow,
    seeds.LIBRARY: _library,
}


def outcome(kind: str, path: Path) -> str:
    """Whether a file is read or refused as it should be; else what happened."""
    try:
        read(kind, path)
    except (OSError, ValueError) as error:
        if path.name in str(error) or str(path) in str(error):
            return REFUSED
        return f"does not name the file: {type(error).__name__}: {str(error)[:300]}"
    except BaseException as error:
        return f"{type(error).__name__}: {str(error)[:300]}"
    return READ


def serve() -> None:
    """Read the files that are named on standard input, and answer on standard output."""
    import psutil

    warnings.simplefilter("ignore")
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no answer
    process = psutil.Process()
    for line in sys.stdin:
        order = json.loads(line)
        before, began = _peak(), _seconds(process)
        found = outcome(order["kind"], Path(order["path"]))
        if found in (READ, REFUSED):
            seconds, more = _seconds(process) - began, _peak() - before
            if seconds > SECONDS:
                found = f"{seconds:.0f} s of processor time, then {found}"
            elif more > MEMORY:
                found = f"{more / 1e9:.1f} GB, then {found}"
        answers.write(json.dumps(found) + "\n")
        answers.flush()


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0


def _seconds(process: Any) -> float:
    children = (each.cpu_times() for each in process.children())
    return time.process_time() + sum(times.user + times.system for times in children)


class Server:
    """Another process that reads; started again after it ended."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process: Any = None
        self._answers: queue.SimpleQueue[str] = queue.SimpleQueue()

    def ask(self, case: Case) -> str:
        """What came of a file."""
        if self._process is None or self._process.poll() is not None:
            self._start()
        order = json.dumps({"kind": case.kind, "path": str(case.path)})
        try:
            self._process.stdin.write(order + "\n")
            self._process.stdin.flush()
            answer = self._answers.get(timeout=HANGS)
        except queue.Empty:
            self.stop()
            return f"hangs: no answer in {HANGS:.0f} s"
        except OSError:
            answer = ""
        if not answer:
            return f"crash: exit code {self._process.wait()}"
        return str(json.loads(answer))

    def _start(self) -> None:
        command = [sys.executable, "-m", "benchmarks", "robustness", "fuzz", "--serve"]
        place = str(Path(__file__).parents[2])
        paths = os.pathsep.join([place, *filter(None, [os.environ.get("PYTHONPATH")])])
        self._process = subprocess.Popen(
            command,
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": paths},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._answers = queue.SimpleQueue()
        threading.Thread(
            target=self._listen, args=(self._process, self._answers), daemon=True
        ).start()

    @staticmethod
    def _listen(process: Any, answers: queue.SimpleQueue[str]) -> None:
        for line in process.stdout:
            answers.put(line)
        answers.put("")

    def stop(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


def cases(name: str, numbers: range, folder: Path, seed: int) -> Iterator[Case]:
    """The damaged files of a format, one after the other at a place of its own."""
    kind, file, make = seeds.formats()[name]
    origin = folder / "valid"
    origin.mkdir(parents=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        make(origin / file)
    for number in numbers:
        place = folder / f"{number:03d}"
        shutil.copytree(origin, place)
        rng = np.random.default_rng((seed, zlib.crc32(name.encode()), number))
        yield Case(name, number, place / file, damage(place / file, rng), kind)


def arguments(parser: argparse.ArgumentParser) -> None:
    """How many, of which, and where they stay."""
    parser.add_argument("--mutations", type=int, default=60, help="of each format [%(default)s]")
    parser.add_argument("--only", nargs="+", choices=list(seeds.formats()), metavar="FORMAT")
    parser.add_argument("--number", type=int, help="this one of each format alone")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for the files, which stay")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)


def run(options: argparse.Namespace) -> None:
    """Print a line for each format, the sum, and the failures."""
    if options.serve:
        serve()
        return
    numbers = range(options.mutations)
    if options.number is not None:
        numbers = range(options.number, options.number + 1)
    failures: list[tuple[Case, str]] = []
    total: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary if options.keep is None else options.keep)
        working = folder / "working"
        working.mkdir(parents=True)
        server = Server(working)
        tables.begin(["format", "files", READ, REFUSED, "failures"])
        for name in options.only or seeds.formats():
            counts: Counter[str] = Counter()
            place = folder / "".join(each if each.isalnum() else "-" for each in name)
            for case in cases(name, numbers, place, options.seed):
                before = _listing(case.path.parent)
                answer = server.ask(case)
                if _listing(case.path.parent) != before or any(working.iterdir()):
                    answer = f"writes files, then {answer}"
                counts[answer if answer in (READ, REFUSED) else "failures"] += 1
                if answer not in (READ, REFUSED):
                    failures.append((case, answer))
                if options.keep is None:
                    shutil.rmtree(case.path.parent)
            total += counts
            tables.line([name, *_cells(counts)])
        server.stop()
    tables.line(["all", *_cells(total)])
    for case, answer in failures:
        print(f"\n{case.format} {case.number} ({case.what}): {answer}")


def _cells(counts: Counter[str]) -> list[str]:
    return [str(counts.total()), *(str(counts[each]) for each in (READ, REFUSED, "failures"))]


def _listing(folder: Path) -> list[tuple[str, int]]:
    return sorted((str(each), each.stat().st_size) for each in folder.rglob("*"))
