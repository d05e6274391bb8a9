"""An environment for each peer: the version that is compared, and what it fails to ask for."""

from __future__ import annotations

import datetime as dt
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

DONE = ".installed"
TORCH = "torch==2.13.0"
"""The PyTorch that ours is measured with."""


@dataclass(frozen=True)
class Peer:
    """A package by the name of its recipe.

    Attributes
    ----------
    package : as `pip` knows it, with the version that the recipe is written for.
    needs : what it needs and does not ask for, or not in the version that it works with.
    python : minor version that it needs; any from 3.11 on by default.
    """

    package: str
    needs: tuple[str, ...] = ()
    python: str = ""


PEERS = {
    "atomai": Peer("atomai==0.8.1", (TORCH, "six==1.17.0")),
    "atomap": Peer("atomap==0.4.2"),
    "bm3d": Peer("bm3d==4.0.3"),
    "drift": Peer("scanning_drift_corr==1.0.1"),
    "kemstem": Peer("kemstem==0.0.6"),
    "quantem": Peer("quantem==0.1.10", (TORCH,)),
    "singleorigin": Peer("singleorigin==3.0.1", ("ipython",)),
    "stemtool": Peer(
        "stemtool==2024.12.21",
        ("nptyping", "tqdm", "pyFFTW", "distributed", "zarr<3", "numpy<2", "scikit-image<0.20"),
        "3.10",
    ),
    "trackpy": Peer("trackpy==0.7"),
}
HERE = ("scipy",)
"""Packages that we depend on ourselves, measured by this interpreter."""


def pythons(names: tuple[str, ...], folder: Path) -> dict[str, Path]:
    """Interpreters of peers by name; those that cannot be installed are said and left out."""
    found = {}
    for name in names:
        try:
            found[name] = Path(sys.executable) if name in HERE else installed(name, folder)
        except (OSError, subprocess.CalledProcessError) as error:
            said = getattr(error, "stderr", "") or str(error)
            sys.stderr.write(f"{name} is left out: {said.strip()[-400:]}\n")
    return found


def installed(name: str, folder: Path) -> Path:
    """The interpreter of a peer's environment below a folder, which is made where it is missing.

    Raises
    ------
    OSError
        There is no Python of the version that it needs.
    subprocess.CalledProcessError
        The environment cannot be made; `stderr` says why.
    """
    peer, target = PEERS[name], folder / "environments" / name
    python = target / "bin" / "python"
    words = [peer.package, *peer.needs]
    stamp = target / DONE
    if stamp.exists() and stamp.read_text(encoding="utf-8") == " ".join(words):
        return python
    _run(_interpreter(peer.python), "-m", "venv", "--clear", str(target))
    _run(str(python), "-m", "pip", "install", "--quiet", "--upgrade", "pip")
    _run(str(python), "-m", "pip", "install", "--quiet", *words)
    stamp.write_text(" ".join(words), encoding="utf-8")
    return python


def _interpreter(version: str) -> str:
    if not version:
        return sys.executable
    shelf = Path.home() / ".pyenv" / "versions"
    several = [*map(str, sorted(shelf.glob(f"{version}.*/bin/python"))), f"python{version}"]
    for each in several:
        path = shutil.which(each)
        if path and subprocess.run([path, "--version"], capture_output=True).returncode == 0:
            return path
    raise OSError(f"it needs Python {version}, which is not found")


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True, text=True)


def processor() -> str:
    """Name of the processor, where the system tells it."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def machine() -> str:
    """Date, processor and Python, for the title of a table."""
    return f"{dt.datetime.now():%d %B %Y, %H:%M}, {processor()}, Python {platform.python_version()}"
