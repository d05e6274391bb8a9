"""Rehearse a release: build it, install it into empty environments, use it, publish a model.

    python scripts/rehearse_release.py [--python PYTHON ...] [--torch torch] [--work FOLDER]

Builds wheel and source archive as the release does, and installs each with every Python from 3.11
to 3.14 that is found. There the commands run from outside of this checkout, and any that opens a
file of it fails. A model that the wheel does not bundle is published by a server on this machine.
Prints a table of what was checked, and exits with 1 if anything failed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
NOBODY = "http://127.0.0.1:9"
"""Where no server answers."""
MODEL = "scan-lines"
"""The model that is taken out of the installed package, as if the wheel did not bundle it."""

# A path that is opened below the checkout is an error of the installed package.
WATCH = """
import os, sys
checkout = os.environ.get("REHEARSED_CHECKOUT")
def watch(event, values):
    if event in ("open", "os.listdir", "os.scandir") and isinstance(values[0], (str, os.PathLike)):
        if os.path.abspath(values[0]).startswith(checkout + os.sep):
            raise PermissionError(f"{values[0]} belongs to the checkout")
if checkout:
    sys.addaudithook(watch)
"""

EVERYTHING = """
import importlib, pkgutil, napari_atomseg as package
for name in package.__all__:
    getattr(package, name)
count = 0
for module in pkgutil.walk_packages(package.__path__, "napari_atomseg."):
    if "_napari" not in module.name and "__main__" not in module.name:
        importlib.import_module(module.name)
        count += 1
print(count, package.__file__)
"""


class FailedError(Exception):
    """A check failed; the message says how."""


@dataclass
class Rehearsal:
    """An environment in which an archive is installed, and what was checked in it."""

    name: str
    folder: Path
    checks: list[tuple[str, str]] = field(default_factory=list)
    """What was checked, and the answer."""
    failed: bool = False

    @property
    def bin(self) -> Path:
        """Folder of its programs."""
        return self.folder / ("Scripts" if os.name == "nt" else "bin")

    def check(self, what: str, action: Callable[[], str]) -> None:
        """Do one check, unless an earlier one failed."""
        if self.failed:
            return
        start = time.monotonic()
        try:
            answer = action()
        except (FailedError, OSError, ValueError) as error:
            self.failed, answer = True, f"FAILED: {error}"
        self.checks.append((what, answer))
        print(f"{self.name}: {what}: {answer} ({time.monotonic() - start:.0f} s)", flush=True)

    def run(self, *words: str, succeeds: bool = True, **environment: str) -> str:
        """Run a program of this environment outside of the checkout, and return what it prints."""
        outside = self.folder.parent / "outside"
        outside.mkdir(exist_ok=True)
        kept = {"PATH", "HOME", "LANG", "DISPLAY", "OMP_NUM_THREADS"}
        kept |= {"SYSTEMROOT", "TEMP", "TMP", "TMPDIR"}
        variables = {name: os.environ[name] for name in kept & os.environ.keys()} | {
            "REHEARSED_CHECKOUT": str(CHECKOUT),
            "NAPARI_ATOMSEG_CACHE": str(self.folder / "cache"),
            "QT_QPA_PLATFORM": "offscreen",
            # Only the server of this rehearsal can be reached.
            **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY"), NOBODY),
            "NO_PROXY": "127.0.0.1",
        }
        done = _run([str(self.bin / words[0]), *words[1:]], outside, variables | environment)
        told = done.stdout + done.stderr
        if (done.returncode == 0) is not succeeds or "Traceback" in told:
            raise FailedError(f"{' '.join(words)} exited with {done.returncode}: {told[-800:]}")
        return told

    def pip(self, *words: str) -> None:
        """Change what is installed; with the network, and without the watch."""
        done = _run([str(self.bin / "python"), "-m", "pip", "--quiet", *words], self.folder.parent)
        if done.returncode:
            raise FailedError(f"pip {' '.join(words)}: {done.stderr[-800:]}")


def _run(
    words: list[str], folder: Path, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    # What this checkout was put on the path for is not for the environments.
    ours = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(  # noqa: S603 - programs of this rehearsal
        words, cwd=folder, env=environment or ours, capture_output=True, text=True, check=False
    )


class ModelServer(ThreadingHTTPServer):
    """Serves one model: whole, cut in the middle once, or with other bytes."""

    def __init__(self, content: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content = content
        self.behaviour = "good"
        self.ranges: list[str | None] = []
        """What each request asked for."""

    @property
    def address(self) -> str:
        """Address of the folder of this release."""
        return f"http://127.0.0.1:{self.server_port}/release"


class _Handler(BaseHTTPRequestHandler):
    server: ModelServer

    def do_GET(self) -> None:
        content, asked = self.server.content, self.headers["Range"]
        self.server.ranges.append(asked)
        if self.server.behaviour == "absent":
            self.send_error(404)
            return
        if self.server.behaviour == "wrong":
            content = content[:-1] + bytes([content[-1] ^ 1])
        start = int(asked.removeprefix("bytes=").partition("-")[0]) if asked else 0
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.send_header("ETag", '"one"')
        self.end_headers()
        if self.server.behaviour == "cut":
            self.server.behaviour = "absent"
            self.wfile.write(content[: len(content) // 2])
        else:
            self.wfile.write(content[start:])

    def log_message(self, *_: object) -> None:
        """The table says what was asked."""


@contextmanager
def serving(content: bytes) -> Iterator[ModelServer]:
    """A server of this model, while the block runs."""
    with ModelServer(content) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def built(work: Path) -> tuple[Path, Path, str]:
    """Wheel and source archive, and a sentence on how they compare.

    Raises
    ------
    FailedError
        The build failed, or the archive makes another wheel than the checkout.
    """
    for folder, words in (("dist", []), ("direct", ["--wheel"])):
        done = _run([sys.executable, "-m", "build", "-o", str(work / folder), *words], CHECKOUT)
        if done.returncode:
            raise FailedError(f"build: {(done.stdout + done.stderr)[-1500:]}")
    (wheel,), (archive,) = (work / "dist").glob("*.whl"), (work / "dist").glob("*.tar.gz")
    (direct,) = (work / "direct").glob("*.whl")
    if wheel.name != direct.name:
        raise FailedError(f"the archive makes {wheel.name}, the checkout {direct.name}")
    ours, theirs = contents(wheel), contents(direct)
    if differing := sorted(name for name in ours | theirs if ours.get(name) != theirs.get(name)):
        raise FailedError(f"wheels of archive and checkout differ in {', '.join(differing)}")
    sizes = f"{wheel.name} {wheel.stat().st_size / 1e6:.1f} MB"
    return wheel, archive, f"{sizes}; the source archive makes the same {len(ours)} files"


def contents(wheel: Path) -> dict[str, str]:
    """SHA-256 of each file of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return {
            info.filename: hashlib.sha256(archive.read(info)).hexdigest()
            for info in archive.infolist()
        }


def interpreters() -> dict[str, str]:
    """The Pythons that are found, by version."""
    shelf = Path.home() / ".pyenv" / "versions"
    found = {}
    for version in PYTHONS:
        several = [shutil.which(f"python{version}")]
        several += sorted(map(str, shelf.glob(f"{version}.*/bin/python")))
        for each in filter(None, several):
            if _version(each) == version:
                found[version] = each
    return found


def _version(python: str) -> str | None:
    code = "import ensurepip, sys, venv; print('%d.%d' % sys.version_info[:2])"
    done = _run([python, "-c", code], Path.cwd())
    return done.stdout.strip() if done.returncode == 0 else None


def rehearse(
    version: str, python: str, wheel: Path, archive: Path, torch: str, work: Path
) -> list[Rehearsal]:
    """Install and use wheel and archive with one Python."""
    environment = work / f"python{version}"
    first = Rehearsal(f"Python {version}, wheel", environment)

    def create() -> str:
        shutil.rmtree(environment, ignore_errors=True)
        done = _run([python, "-m", "venv", str(environment)], work)
        if done.returncode:
            raise FailedError(done.stderr[-800:])
        first.pip("install", "--upgrade", "pip")
        first.pip("install", torch, str(wheel))
        first.pip("check")
        (site,) = environment.glob("[Ll]ib/**/site-packages")
        (site / "_rehearsed.py").write_text(WATCH, encoding="utf-8")
        (site / "_rehearsed.pth").write_text("import _rehearsed\n", encoding="utf-8")
        return _python(first, "import importlib.metadata as m; print('torch', m.version('torch'))")

    first.check("installed into an empty environment, `pip check`", create)
    used(first, wheel)
    published(first)
    first.check("`npe2 validate` with napari and Qt", lambda: _manifest(first, wheel))

    second = Rehearsal(f"Python {version}, sdist", environment, failed=first.failed)

    def replace() -> str:
        second.pip("uninstall", "--yes", "napari-atomseg")
        second.pip("install", "--no-deps", str(archive))
        second.pip("check")
        return "in place of the wheel"

    second.check("installed, `pip check`", replace)
    used(second, wheel)
    shutil.rmtree(environment, ignore_errors=True)
    return [first, second]


def _python(where: Rehearsal, code: str) -> str:
    return where.run("python", "-c", code).strip()


def _manifest(where: Rehearsal, wheel: Path) -> str:
    where.pip("install", f"{wheel}[all]")
    return where.run("npe2", "validate", "napari-atomseg", "--imports").strip().splitlines()[-1]


def used(where: Rehearsal, wheel: Path) -> None:
    """The package as a user has it: version, imports, from a crystal to its lattice constant."""

    def version() -> str:
        told = where.run("napari-atomseg", "--version").strip()
        if told != f"napari-atomseg {wheel.name.split('-')[1]}":
            raise FailedError(f"{told!r} is not the version of {wheel.name}")
        return told

    def imports() -> str:
        count, path = _python(where, EVERYTHING).split(maxsplit=1)
        if not Path(path).is_relative_to(where.folder):
            raise FailedError(f"imported from {path}")
        return f"{count} modules and all public names, without napari and Qt"

    def measured() -> str:
        atomseg = "napari-atomseg"
        where.run(
            *(atomseg, "simulate", "SrTiO3", "--shape", "160", "160", "--sampling", "0.15"),
            *("--dose", "20000", "--seed", "1", "--output", "image.tif"),
        )
        where.run(atomseg, "restore", "image.tif", "--output", "restored.tif")
        where.run(atomseg, "localize", "image.tif", "--output", "columns.csv")
        told = where.run(
            *(atomseg, "measure", "lattice", "columns.csv", "--sampling", "0.15"),
            *("--output", "lattice.csv"),
        )
        found = re.search(r"\ba = (\d\.\d+)", told)
        if found is None or abs(float(found[1]) - 3.905) > 0.02:
            raise FailedError(f"no lattice constant of 3.905 Å: {told}")
        return f"a = {found[1]} Å of 3.905"

    where.check("`--version`", version)
    where.check("imports", imports)
    where.check("`simulate`, `restore`, `localize`, `measure lattice`", measured)


def published(where: Rehearsal) -> None:
    """A model that the wheel does not bundle comes from the server of its release."""
    if where.failed:
        return
    (bundled,) = where.folder.rglob(f"weights/files/{MODEL}.safetensors")
    content = bundled.read_bytes()
    hidden = bundled.with_suffix(".hidden")
    bundled.replace(hidden)
    downloads = where.folder / "cache" / "models" / "published"

    def download(address: str, *, succeeds: bool) -> str:
        words = ("napari-atomseg", "models", "download", MODEL)
        told = where.run(*words, succeeds=succeeds, NAPARI_ATOMSEG_MIRRORS=address)
        if (downloads / f"{MODEL}.safetensors").exists() is not succeeds:
            raise FailedError(f"the model is {'not ' if succeeds else ''}there: {told}")
        if not succeeds and address not in told:
            raise FailedError(f"the message does not name {address}: {told}")
        return told

    def asked(server: ModelServer, behaviour: str, *, succeeds: bool) -> str:
        server.behaviour, server.ranges = behaviour, []
        return download(server.address, succeeds=succeeds)

    def offline() -> str:
        download(f"{NOBODY}/release", succeeds=False)
        return "exit code, one message with the addresses, no file"

    def absent(server: ModelServer) -> str:
        asked(server, "absent", succeeds=False)
        return "the same"

    def wrong(server: ModelServer) -> str:
        told = asked(server, "wrong", succeeds=False)
        if "SHA-256" not in told:
            raise FailedError(f"the message does not name the SHA-256: {told}")
        return "refused, no file"

    def resumed(server: ModelServer) -> str:
        asked(server, "cut", succeeds=False)
        asked(server, "good", succeeds=True)
        missing = server.ranges[0]
        if missing is None or int(missing.removeprefix("bytes=").rstrip("-")) < len(content) // 4:
            raise FailedError(f"a new run began anew: {server.ranges}")
        return f"a new run asked for `{missing}` of {len(content)}"

    def right() -> str:
        path = downloads / f"{MODEL}.safetensors"
        if path.read_bytes() != content:
            raise FailedError("the file differs from the published one")
        text = (bundled.parents[1] / "registry.json").read_text(encoding="utf-8")
        sums = {entry["name"]: entry["sha256"] for entry in json.loads(text)["models"]}
        if hashlib.sha256(content).hexdigest() != sums[MODEL]:
            raise FailedError("the registry has another SHA-256")
        where.run("napari-atomseg", "models", "show", MODEL)
        return "SHA-256 of the registry; found by its name"

    where.check("a model that is not bundled, offline", offline)
    with serving(content) as server:
        where.check("from a local server that does not have it", lambda: absent(server))
        where.check("with another hash", lambda: wrong(server))
        where.check("cut in the middle, then whole", lambda: resumed(server))
    where.check("the model that came", right)
    hidden.replace(bundled)


def table(rehearsals: list[Rehearsal]) -> Iterator[str]:
    """What was checked, as Markdown."""
    yield "| environment | checked | answer |"
    yield "|---|---|---|"
    for rehearsal in rehearsals:
        for what, answer in rehearsal.checks:
            line = " ".join(answer.split()).replace("|", "/")
            yield f"| {rehearsal.name} | {what} | {line} |"


def main() -> int:
    """Rehearse, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--python", action="append", help="interpreters, instead of all found")
    parser.add_argument("--torch", default="torch", help="what to ask pip for as PyTorch")
    parser.add_argument("--work", type=Path, help="folder to work in, outside of this checkout")
    options = parser.parse_args()
    work = (options.work or Path(tempfile.mkdtemp(prefix="rehearsal-"))).resolve()
    if work.is_relative_to(CHECKOUT):
        parser.error(f"--work {work} is in the checkout")
    work.mkdir(parents=True, exist_ok=True)
    found = {str(_version(each)): each for each in options.python or []} or interpreters()
    try:
        wheel, archive, answer = built(work)
    except FailedError as error:
        print(error, file=sys.stderr)
        return 1
    build = Rehearsal("build", work, [("wheel and source archive", answer)])
    print(f"build: {answer}", flush=True)
    every = [build]
    for version, python in found.items():
        every += rehearse(version, python, wheel, archive, options.torch, work)
    print("\n".join(table(every)))
    print(f"not found: {', '.join(set(PYTHONS) - set(found)) or 'none'}")
    return int(any(rehearsal.failed for rehearsal in every))


if __name__ == "__main__":
    sys.exit(main())
