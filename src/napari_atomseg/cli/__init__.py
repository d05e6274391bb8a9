"""The command line: each command is a thin call of one public function."""

from napari_atomseg.cli import align as _align  # noqa: F401 - adds its command
from napari_atomseg.cli import calibrate as _calibrate  # noqa: F401 - adds its command
from napari_atomseg.cli import columns as _columns  # noqa: F401 - adds its commands
from napari_atomseg.cli import evaluate as _evaluate  # noqa: F401 - adds its command
from napari_atomseg.cli import figures as _figures  # noqa: F401 - adds its commands
from napari_atomseg.cli import files as _files  # noqa: F401 - adds its commands
from napari_atomseg.cli import images as _images  # noqa: F401 - adds its commands
from napari_atomseg.cli import library as _library  # noqa: F401 - adds its command
from napari_atomseg.cli import measure as _measure  # noqa: F401 - adds its commands
from napari_atomseg.cli import models as _models  # noqa: F401 - adds its commands
from napari_atomseg.cli import simulate as _simulate  # noqa: F401 - adds its command
from napari_atomseg.cli import train as _train  # noqa: F401 - adds its command
from napari_atomseg.cli import workflow as _workflow  # noqa: F401 - adds its command
from napari_atomseg.cli.app import app

__all__ = ["app"]
