"""Work that is killed, cancelled, out of disk or locked out at many moments, and then gone on with.

    python -m benchmarks robustness faults [--moments 50] [--only library batch] [--seed 0]

Five kinds of work (libraries in both layouts, a training, a batch, single results) run in a process
of their own that meets one fault:

- kill: SIGKILL at the nth opening, renaming or removal of a file, or after a part of the time;
- full: no space left from the nth such call on, or a limit of the size of a file, met within it;
- locked: permission denied from the nth such call on, as in a folder that became read-only;
- cancel: the token is raised when it is looked at for the nth time.

Moments are drawn at random from all that the whole work has. Then every file that is there under
its own name must be one that an undisturbed run has or had (nothing half-written, nothing lost that
was there before), the process must have ended as it should (an OSError, or Cancelled), and the same
call again must end with the very bytes of the undisturbed run and nothing beside them. A line is
printed for each kind of work and fault, and each failure.
"""

from __future__ import annotations

import argparse
import errno
import hashlib
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import warnings
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import tables

FAULTS = ("kill", "full", "locked", "cancel")
EVENTS = {"open", "os.rename", "os.remove", "os.mkdir", "os.link"}
"""Audit events of a process at which files change."""
DONE, FAILED, CANCELLED, WRONG = 0, 3, 4, 5
"""How a process ended: with its result, an OSError, Cancelled, or something else."""

ENDS = {
    "kill": {DONE, -signal.SIGKILL, -signal.SIGALRM},
    "full": {DONE, FAILED},
    "locked": {DONE, FAILED},
    "cancel": {DONE, CANCELLED},
}
"""How a process may end that meets a fault; late ones come when all is done."""

Tree = dict[str, str]


@dataclass(frozen=True)
class Work:
    """One kind of work that writes into a folder.

    Attributes
    ----------
    do : with the folder and a token; the same bytes each time.
    cancels : whether it looks at the token.
    whole : whether a file that differs from those of an undisturbed run is whole all the same.
    """

    do: Callable[[Path, Any], None]
    cancels: bool = True
    whole: Callable[[Path], bool] = lambda path: False


# Kinds of work


def _library(layout: str) -> Callable[[Path, Any], None]:
    def do(folder: Path, cancel: Any) -> None:
        from napari_atomseg.simulation.library.read import write_library

        write_library(
            folder / "library", "hr-stem", 6, shape=(32, 32), layout=layout, cancel=cancel
        )

    return do


def _training(images: Path) -> Callable[[Path, Any], None]:
    recipe = {
        "name": "tiny",
        "steps": 6,
        "batch": 2,
        "crop": 32,
        "validate_every": 2,
        "validation": 2,
        "half": False,
        "tasks": ["column_map"],
        "network": {"name": "atomsegnet_unet", "arguments": {"widths": [4, 8, 8]}},
        "source": {"kind": "folder", "folder": str(images)},
    }

    def do(folder: Path, cancel: Any) -> None:
        from napari_atomseg.training import train

        train(recipe, folder / "w.safetensors", device="cpu", cancel=cancel)

    return do


def _batch(images: Path) -> Callable[[Path, Any], None]:
    from napari_atomseg.workflow import Workflow

    peaks = {"detector": "peaks", "sensitivity": 0.0, "refine": "none"}
    steps = [
        {"name": "columns", "action": "localize", "settings": peaks},
        {"name": "gaps", "action": "measure spacings", "of": "columns"},
    ]

    def do(folder: Path, cancel: Any) -> None:
        from napari_atomseg.workflow import run_files

        found = run_files(Workflow.of(steps), sorted(images.glob("*.tif")), folder, cancel=cancel)
        reasons = [each.reason for each in found if each.status != "done"]
        if reasons:
            raise OSError("; ".join(reasons))

    return do


def _results(folder: Path, cancel: Any) -> None:
    """Images, tables, a figure, weights and a workflow, each over an older one."""
    from matplotlib.figure import Figure

    from benchmarks.robustness import seeds
    from napari_atomseg import figures
    from napari_atomseg.io import write_columns, write_image
    from napari_atomseg.io.columns.csv_table import write_csv
    from napari_atomseg.workflow import Workflow

    image, table = seeds.picture(np.float32, frames=2), seeds.table()
    for suffix in (".tif", ".h5", ".zarr"):
        write_image(folder / f"image{suffix}", image, 0.2, {"made": "here"})
    for suffix in (".csv", ".xyz", ".cif", ".hdf5"):
        write_columns(folder / f"columns{suffix}", table, elements={"Sr": "Sr", "Ti": "Ti"})
    write_csv(folder / "table.csv", table)
    figure = Figure(figsize=(1.0, 1.0))
    figure.add_subplot().plot([1, 2])
    figures.save(figure, folder / "figure.png", dpi=40)
    Workflow.of([{"name": "a", "action": "restore"}]).save(folder / "workflow.yaml")
    seeds.write_weights(folder / "weights.safetensors")


def _training_whole(path: Path) -> bool:
    """A checkpoint that loads, a table of losses whose rows are all there."""
    from safetensors import safe_open

    if path.suffix == ".csv":
        rows = path.read_text(encoding="utf-8").splitlines()
        return path.read_bytes().endswith(b"\n") and len({row.count(",") for row in rows}) == 1
    with safe_open(path, framework="numpy") as file:
        return len([file.get_tensor(name) for name in file.keys()]) > 4  # noqa: SIM118


def _batch_whole(path: Path) -> bool:
    """A table of all images whose rows are all there; some are marked as failed."""
    return path.name == "results.csv" and path.read_bytes().endswith(b"\n")


def _library_whole(path: Path) -> bool:
    """Descriptions of arrays that Zarr lengthens."""
    return path.name == "zarr.json"


def works(folder: Path) -> dict[str, Work]:
    """The kinds of work by name; their inputs are written into the folder."""
    import pandas as pd

    from benchmarks.robustness import seeds
    from napari_atomseg.io import write_columns, write_image

    rng = np.random.default_rng(0)
    pairs, images = folder / "pairs", folder / "images"
    for each in (pairs, images):
        each.mkdir(parents=True)
    for number in range(3):
        image = np.tile(seeds.picture(np.float32), (2, 2)) + rng.normal(size=(48, 48))
        write_image(images / f"{number}.tif", image.astype(np.float32), 0.2)
        write_image(pairs / f"{number}.tif", image.astype(np.float32), 0.2)
        points = pd.DataFrame(rng.uniform(0, 47, (20, 2)), columns=["y", "x"])
        write_columns(pairs / f"{number}.csv", points)
    return {
        "library": Work(_library("folders"), whole=_library_whole),
        "library-zarr": Work(_library("zarr"), whole=_library_whole),
        "training": Work(_training(pairs), whole=_training_whole),
        "batch": Work(_batch(images), whole=_batch_whole),
        "results": Work(_results, cancels=False),
    }


# Faults


class Moments:
    """Counts the calls of this process that change files below a folder, and meets a fault."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.count = str(folder), 0
        self.meet: Callable[[int, str], None] = lambda number, event: None
        self._inside = False
        sys.addaudithook(self._audit)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event not in EVENTS or self._inside or not self._changes(event, arguments):
            return
        self._inside = True
        try:
            self.count += 1
            self.meet(self.count, event)
        finally:
            self._inside = False

    def _changes(self, event: str, arguments: tuple[Any, ...]) -> bool:
        path = arguments[0]
        if not isinstance(path, (str, bytes, os.PathLike)):
            return False
        if event == "open":
            mode, flags = arguments[1:3]
            written = set(mode) & set("wax+") if isinstance(mode, str) else False
            if not (written or int(flags or 0) & (os.O_WRONLY | os.O_RDWR)):
                return False
        return os.fsdecode(path).startswith(self.folder)


def _refuse(number: int, code: int) -> Callable[[int, str], None]:
    def meet(count: int, event: str) -> None:
        # On a full disk, files are still removed and get other names.
        if count >= number and (code != errno.ENOSPC or event in ("open", "os.mkdir", "os.link")):
            raise OSError(code, os.strerror(code))

    return meet


def _die(number: int) -> Callable[[int, str], None]:
    def meet(count: int, event: str) -> None:
        if count >= number:
            os.kill(os.getpid(), signal.SIGKILL)

    return meet


def _token(number: int | None) -> Any:
    """A token that is raised when it is looked at for the nth time; it counts how often it is."""
    from napari_atomseg.progress import CancelToken

    class Counting(CancelToken):
        looked = 0

        @property
        def cancelled(self) -> bool:
            Counting.looked += 1
            return number is not None and Counting.looked >= number

    return Counting()


@dataclass(frozen=True)
class Whole:
    """What an undisturbed run has: calls, looks at the token, seconds, largest file, its files."""

    calls: int
    looks: int
    seconds: float
    largest: int
    tree: Tree


def disturbed(work: Work, folder: Path, fault: str, share: float, whole: Whole, kind: int) -> None:
    """Do the work in this process, and meet a fault after a share of it."""
    moments, token = Moments(folder), _token(None)
    number = 1 + int(share * whole.calls)
    if fault == "kill" and kind % 2:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)  # ends the process as SIGKILL does
        signal.setitimer(signal.ITIMER_REAL, max(share * whole.seconds, 1e-3))
    elif fault == "kill":
        moments.meet = _die(number)
    elif fault == "full" and kind % 2:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(share * whole.largest),) * 2)
    elif fault in ("full", "locked"):
        moments.meet = _refuse(number, errno.ENOSPC if fault == "full" else errno.EACCES)
    elif fault == "cancel":
        token = _token(1 + int(share * whole.looks))
    work.do(folder, token)


def forked(function: Callable[..., None], *arguments: Any) -> int:
    """Run a function in a process of its own; return how it ended."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = WRONG
    try:
        from napari_atomseg.progress import Cancelled

        with Path(os.devnull).open("w") as silence:
            os.dup2(silence.fileno(), 1)
        try:
            function(*arguments)
            code = DONE
        except Cancelled:
            code = CANCELLED
        except OSError:
            code = FAILED
        except BaseException:
            import traceback

            traceback.print_exc()
    finally:
        os._exit(code)


def tree(folder: Path) -> Tree:
    """SHA-256 of every file below a folder."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def undisturbed(work: Work, folder: Path) -> Whole:
    """Do the work once for the numbers of its moments, and once more for its bytes."""
    counted = folder.with_name("counted")
    read, write = os.pipe()

    def count() -> None:
        moments, token, began = Moments(folder), _token(None), time.perf_counter()
        work.do(folder, token)
        seconds = time.perf_counter() - began
        os.write(write, f"{moments.count} {type(token).looked} {seconds}".encode())

    _prepare(work, folder)
    if forked(count) != DONE:
        raise RuntimeError("the work fails without a fault")
    calls, looks, seconds = os.read(read, 1000).decode().split()
    found = tree(folder)
    largest = max(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    _prepare(work, counted)
    forked(work.do, counted, _token(None))
    differing = [name for name, known in tree(counted).items() if found.get(name) != known]
    if differing:
        raise RuntimeError(f"two runs differ in {differing}")
    return Whole(int(calls), int(looks), float(seconds), largest, found)


def _prepare(work: Work, folder: Path) -> None:
    """An empty folder; for single results, older ones of the same names."""
    folder.mkdir()
    if not work.cancels:
        shutil.copytree(folder.with_name("first"), folder, dirs_exist_ok=True)
        for path in folder.rglob("*"):
            if path.is_file() and ".zarr" not in path.as_posix():
                path.write_bytes(b"older")


def faulty(work: Work, folder: Path, fault: str, share: float, whole: Whole, kind: int) -> str:
    """Disturb the work, look at what is there, and go on; return what is wrong, or nothing."""
    _prepare(work, folder)
    before = tree(folder)
    code = forked(disturbed, work, folder, fault, share, whole, kind)
    wrong = [] if code in ENDS[fault] else [f"ended with {code}"]
    now = tree(folder)
    for name, known in now.items():
        if _unfinished(name):
            # Whoever is dead or locked out can remove nothing.
            wrong += [f"{name} is left"] * (fault not in ("kill", "locked"))
        elif known not in (whole.tree.get(name), before.get(name)):
            wrong += [f"{name} is half-written"] * (not _whole(work, folder / name))
    kept = set(now) | {_own_name(name) for name in now}
    wrong += [f"{name} is lost" for name in before if name not in kept]
    code = forked(work.do, folder, None)
    if code != DONE:
        return "; ".join([*wrong, f"does not go on: ended with {code}"])
    after = tree(folder)
    if not work.cancels:  # nobody looks for what an earlier process left of single results
        after = {name: each for name, each in after.items() if not _unfinished(name)}
    names = sorted(after.keys() | whole.tree.keys())
    differing = [name for name in names if after.get(name) != whole.tree.get(name)]
    if differing:
        wrong.append(f"goes on to other bytes in {', '.join(differing[:4])}")
    return "; ".join(wrong)


def _unfinished(name: str) -> bool:
    """Whether a file is none under its own name yet, or a lock."""
    parts = Path(name).parts
    return (
        any(part.endswith((".partial", ".old", ".lock")) for part in parts) or parts[-1] == "lock"
    )


def _own_name(name: str) -> str:
    """The name that a file of a folder has which was moved aside, `.NAME.PROCESS.old`."""
    first, *rest = Path(name).parts
    if not first.endswith(".old"):
        return name
    return Path(first[1:].rsplit(".", 2)[0], *rest).as_posix()


def _whole(work: Work, path: Path) -> bool:
    try:
        return work.whole(path)
    except Exception:
        return False


def _same_time() -> None:
    """Records of all processes have one time, so that the same result has the same bytes."""
    from napari_atomseg._shared import files

    class Then(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime(2026, 1, 1, tzinfo=tz or UTC)

    files.datetime = Then  # type: ignore[misc]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Moments, kinds of work, seed."""
    parser.add_argument("--moments", type=int, default=50, help="of each fault [%(default)s]")
    names = ["library", "library-zarr", "training", "batch", "results"]
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    parser.add_argument("--seed", type=int, default=0)


def run(options: argparse.Namespace) -> None:
    """Print a line for each kind of work and fault, and each failure."""
    warnings.simplefilter("ignore")
    _same_time()
    failures = []
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary).resolve()
        known = works(home / "inputs")
        tables.begin(["work", "fault", "moments", "failures"])
        for name in options.only:
            # Modules are loaded here once, not in each process.
            known[name].do(_empty(home / "first"), _token(None))
            whole = undisturbed(known[name], home / "whole")
            shutil.rmtree(home / "counted")
            for fault in FAULTS:
                if fault == "cancel" and not known[name].cancels:
                    continue
                found = list(_faulty(known[name], home / "faulty", fault, whole, options))
                tables.line([name, fault, str(len(found)), str(sum(bool(each) for each in found))])
                failures += [f"{name}, {fault} {n}: {each}" for n, each in enumerate(found) if each]
            for each in ("first", "whole"):
                shutil.rmtree(home / each)
    print()
    print("\n".join(failures) or "no failures")


def _empty(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _faulty(
    work: Work, folder: Path, fault: str, whole: Whole, options: argparse.Namespace
) -> Iterator[str]:
    """What is wrong after each fault; nothing where all is as it should be."""
    rng = np.random.default_rng((options.seed, zlib.crc32(fault.encode())))
    for number, share in enumerate(rng.uniform(0.0, 1.0, options.moments)):
        yield faulty(work, folder, fault, float(share), whole, number)
        shutil.rmtree(folder)
