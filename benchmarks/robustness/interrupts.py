"""Ctrl-C in every command at random moments, and two commands that write one file.

    python -m benchmarks robustness interrupts [--moments 6] [--only restore train] [--seed 0]

Each command runs in a process of its own, on small images. SIGINT reaches its whole group of
processes, as from a terminal, at moments drawn from the time that the command takes. What holds is
exit code 130 and the one line "cancelled" on standard error, or the result where the command was
done already; within five seconds no process of the group is alive, and no file has another name
than those of the whole command. Then each command that writes runs twice at the same time: both
end with the same bytes as one alone, or one of them is refused in one line.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks import tables

PATIENCE = 5.0
"""Seconds after the end of a command in which the last process of its group must end."""
LONGEST = 300.0
"""Seconds that a command may take."""
INTERRUPTED = 130


_COMMANDS = {
    "align": "align stack.tif -o out/average.tif",
    "calibrate": "calibrate image.tif --pixel 0.02 -o out/calibrated.tif",
    "columns": "columns convert columns.csv out/columns.xyz",
    "demo": "demo image.tif --no-window -o out/demo",
    "evaluate": "evaluate --images 1 -o out/evaluation",
    "figure": "figure overlay image.tif columns.csv -o out/overlay.png",
    "history": "history columns.csv",
    "images": "images convert image.tif out/image.hspy",
    "library": "library out/library --recipe hr-stem --count 40 --shape 32 32 --workers 1",
    "library, 2 workers": "library out/two --recipe hr-stem --count 80 --shape 32 32 --workers 2",
    "localize": "localize image.tif -o out/columns.csv",
    "measure": "measure lattice columns.csv -o out/lattice.csv",
    "models": "models list",
    "restore": "restore image.tif -o out/restored.tif",
    "run": "run steps.yaml images -o out/results",
    "scan": "scan image.tif -o out/still.tif",
    "segment": "segment image.tif -o out/labels.tif",
    "simulate": "simulate SrTiO3 --shape 96 96 -o out/simulated.tif",
    "train": "train training.yaml -o out/w.safetensors",
}
"""The words of each command by its name; files are those of `inputs`."""


def inputs(folder: Path) -> None:
    """Images, a stack, a table of columns, a workflow and a recipe of a training."""
    import yaml

    from benchmarks.speed.inference import lattice_image
    from napari_atomseg.io import write_image

    image, rng = lattice_image(96), np.random.default_rng(0)
    write_image(folder / "image.tif", image, 0.2)
    stack = np.stack([np.roll(image, k, axis=0) + rng.normal(size=image.shape) for k in range(4)])
    write_image(folder / "stack.tif", stack.astype(np.float32), 0.2)
    found = Command(["localize", "image.tif", "-o", "columns.csv"], folder)
    if found.end()[0]:
        raise RuntimeError(" ".join(found.lines))
    (folder / "images").mkdir()
    for number in range(4):
        write_image(folder / "images" / f"{number}.tif", np.roll(image, number), 0.2)
        write_image(folder / f"pairs-{number}.tif", image, 0.2)
    steps = [{"name": "columns", "action": "localize", "settings": {"detector": "peaks"}}]
    (folder / "steps.yaml").write_text(yaml.safe_dump({"steps": steps}), encoding="utf-8")
    marked = {"image": "image.tif", "points": "columns.csv"}
    recipe = {
        "name": "tiny",
        "steps": 200,
        "batch": 2,
        "crop": 32,
        "validate_every": 20,
        "validation": 2,
        "tasks": ["column_map"],
        "network": {"name": "atomsegnet_unet", "arguments": {"widths": [4, 8, 8]}},
        "source": {"kind": "annotated", "images": [marked]},
    }
    (folder / "training.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")


class Command:
    """A command in a forked process, which leads a group of its own."""

    def __init__(self, words: list[str], folder: Path, name: str = "said") -> None:
        self.said = folder / f"{name}.txt"
        self.began = time.perf_counter()
        self.child = os.fork()
        if self.child == 0:
            self._run(words, folder)

    def _run(self, words: list[str], folder: Path) -> None:
        code = 1
        try:
            os.setsid()
            os.chdir(folder)
            with self.said.open("wb", buffering=0) as said, Path(os.devnull).open("wb") as silence:
                os.dup2(silence.fileno(), 1)
                os.dup2(said.fileno(), 2)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            sys.argv[1:] = words
            from napari_atomseg.__main__ import main

            main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        except BaseException:
            import traceback

            self.said.write_text(traceback.format_exc(), encoding="utf-8")
        finally:
            sys.stderr.flush()
            os._exit(code)

    def interrupt(self, after: float) -> None:
        """Send SIGINT to the group, so many seconds after it began."""
        time.sleep(max(after - (time.perf_counter() - self.began), 0.0))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.child, signal.SIGINT)

    def end(self) -> tuple[int, str]:
        """Exit code, and what is wrong with the group after the end; nothing where it is gone."""
        code = os.waitstatus_to_exitcode(os.waitpid(self.child, 0)[1])
        for _ in range(int(PATIENCE / 0.1)):
            try:
                os.killpg(self.child, 0)
            except ProcessLookupError:
                return code, ""
            time.sleep(0.1)
        os.killpg(self.child, signal.SIGKILL)
        return code, f"processes are alive after {PATIENCE:.0f} s"

    @property
    def lines(self) -> list[str]:
        """What it said on standard error, but for the progress."""
        text = self.said.read_text(encoding="utf-8", errors="replace")
        lines = [line.rpartition("\r")[2].strip() for line in text.splitlines()]
        return [line for line in lines if line and "%|" not in line]


def names(folder: Path) -> set[str]:
    """All files and folders below a folder."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def interrupted(words: list[str], folder: Path, after: float, whole: set[str]) -> tuple[int, str]:
    """Exit code of an interrupted command, and what is wrong."""
    command = Command(words, folder)
    command.interrupt(after)
    code, wrong = command.end()
    faults = [wrong] if wrong else []
    if code not in (INTERRUPTED, 0):
        faults.append(f"exit code {code}")
    if code == INTERRUPTED and command.lines[-1:] != ["cancelled"]:
        faults.append("does not say that it was cancelled")
    if code not in (INTERRUPTED, 0) or "Traceback" in " ".join(command.lines):
        faults.append(f"says {' / '.join(command.lines[-3:])[:300]}")
    strange = [
        name
        for name in names(folder / "out") - whole
        if not name.endswith(".checkpoint") and ".blocks" not in name
    ]
    faults += [f"leaves {name}" for name in strange]
    return code, "; ".join(faults)


def together(words: list[str], folder: Path, whole: set[str]) -> str:
    """What is wrong after the same command ran twice at the same time."""
    both = [Command(words, folder, name) for name in ("first", "second")]
    ends = [each.end() for each in both]
    faults = [wrong for _, wrong in ends if wrong]
    for (code, _), each in zip(ends, both, strict=True):
        refused = code == 1 and "another process" in " ".join(each.lines[-1:])
        if code != 0 and not refused:
            faults.append(f"exit code {code}: {' / '.join(each.lines[-3:])[:300]}")
    if all(code for code, _ in ends):
        faults.append("both are refused")
    if names(folder / "out") != whole:
        faults.append(f"leaves {sorted(names(folder / 'out') ^ whole)[:4]}")
    return "; ".join(faults)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Moments, commands, seed."""
    parser.add_argument("--moments", type=int, default=6, help="of each command [%(default)s]")
    parser.add_argument("--only", nargs="+", choices=list(_COMMANDS), metavar="COMMAND")
    parser.add_argument("--seed", type=int, default=0)


def run(options: argparse.Namespace) -> None:
    """Print a line for each command, and each failure."""
    from napari_atomseg.cli import app  # noqa: F401  (loaded once, not in each process)

    rng, failures = np.random.default_rng(options.seed), []
    tables.begin(["command", "s", "interrupted", "done before", "twice at once", "failures"])
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        os.environ["NAPARI_ATOMSEG_CACHE"] = str(folder / "cache")
        inputs(folder)
        for name in options.only or _COMMANDS:
            words = _COMMANDS[name].split()
            fresh(folder)
            alone = Command(words, folder)
            code, wrong = alone.end()
            seconds, whole = time.perf_counter() - alone.began, names(folder / "out")
            if code or wrong:
                failures.append(f"{name}, alone: exit code {code}; {wrong} {alone.lines[-3:]}")
                continue
            found = []
            for share in rng.uniform(0.0, 1.0, options.moments):
                fresh(folder)
                found.append(interrupted(words, folder, float(share) * seconds, whole))
            codes = [code for code, _ in found]
            faults = [fault for _, fault in found if fault]
            twice = "-"
            if whole:
                fresh(folder)
                fault = together(words, folder, whole)
                twice = "no" if fault else "yes"
                faults += [f"twice at once: {fault}"] if fault else []
            counts = [str(codes.count(INTERRUPTED)), str(codes.count(0)), twice, str(len(faults))]
            tables.line([name, f"{seconds:.1f}", *counts])
            failures += [f"{name}: {fault}" for fault in faults]
    print()
    print("\n".join(failures) or "no failures")


def fresh(folder: Path) -> None:
    """An empty folder for results."""
    import shutil

    shutil.rmtree(folder / "out", ignore_errors=True)
    (folder / "out").mkdir()
