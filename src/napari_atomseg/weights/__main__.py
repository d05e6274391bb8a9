"""Rebuild the registry from the files of ``models/``: ``python -m napari_atomseg.weights``.

With ``--check`` nothing is written, and the exit code is 1 if the registry is out of date.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from napari_atomseg.weights.registry import (
    REGISTRY,
    load_registry,
    rebuilt_registry,
    write_registry,
)
from napari_atomseg.weights.store import clone_folder


def main(arguments: list[str] | None = None) -> int:
    """Rebuild or check the registry, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m napari_atomseg.weights", description=__doc__)
    parser.add_argument("--folder", type=Path, default=clone_folder(), help="weights files")
    parser.add_argument("--registry", type=Path, default=REGISTRY, help="registry file to rebuild")
    parser.add_argument("--check", action="store_true", help="compare only, write nothing")
    chosen = parser.parse_args(arguments)
    if chosen.folder is None or not chosen.folder.is_dir():
        parser.error("there is no folder models/: run this in a clone, or name one by --folder")
    try:
        before = load_registry(chosen.registry)
        after = rebuilt_registry(before, chosen.folder)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    if chosen.check:
        if after != before:
            sys.stderr.write("the registry does not agree with the files: rebuild it\n")
        return int(after != before)
    write_registry(after, chosen.registry)
    for entry in after.models:
        sys.stdout.write(f"{entry.name}: {entry.size} bytes, sha256 {entry.sha256}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
