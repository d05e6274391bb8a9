"""The command line: each command is a thin call of one public function."""

from napari_atomseg.cli.commands import app

__all__ = ["app"]
