"""Renew the registry after training: ``python -m napari_atomseg.weights FILE.safetensors ...``."""

from __future__ import annotations

import sys

from napari_atomseg.weights.registry import register

if __name__ == "__main__":
    for path in sys.argv[1:]:
        entry = register(path)
        sys.stdout.write(f"{entry.name}: {entry.size} bytes, sha256 {entry.sha256}\n")
