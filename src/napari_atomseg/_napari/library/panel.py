"""The Library panel: browse, generate and download libraries of simulated samples."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal  # type: ignore[attr-defined]

from napari_atomseg._napari.forms.choices import NameOrFile
from napari_atomseg._napari.forms.form import ADVANCED
from napari_atomseg._napari.forms.inputs import NO_FOLDER, WordInput, chosen_folder
from napari_atomseg._napari.jobs import Show, Work
from napari_atomseg._napari.library.browse import Browse
from napari_atomseg._napari.panel import Panel, PanelTabs
from napari_atomseg.progress import CancelToken, Progress
from napari_atomseg.settings import Settings, setting
from napari_atomseg.simulation.library.settings import LAYOUT, Layout, LibrarySettings

if TYPE_CHECKING:
    import napari.viewer

TEM_IMAGENET = "https://github.com/xinhuolin/TEM-ImageNet-v1.3/archive/refs/heads/master.zip"
"""TEM ImageNet v1.3 (Lin et al. 2021, doi:10.1038/s41598-021-84499-w)."""


class GenerateSettings(LibrarySettings):
    """The arguments of `write_library`; `format` is its `layout`, a name that Qt has too."""

    recipe: str = setting("temimagenet", "Recipe", "A shipped recipe, or a YAML file.")
    folder: Path | None = setting(
        None,
        "Folder",
        "A new or empty folder, or a library to continue.",
        none=NO_FOLDER,
    )
    format: Layout = LAYOUT
    shape: tuple[int, int] = setting(
        (256, 256), "Size (y, x)", "Rows and columns of the images.", unit="px", limits=(16, 4096)
    )


class Generate(Panel):
    """Writes a library; a library that was stopped goes on."""

    title = "Generate library"
    Settings = GenerateSettings
    done = Signal(str)

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__(viewer, {"recipe": _recipe_input})
        self.run_button.setText("Generate")
        self.cancel_button.setToolTip("Stop; what is written stays, and Generate goes on with it")

    def prepare(self) -> tuple[str, Work, Show]:
        settings = dict(self.form.values())
        folder = chosen_folder(settings.pop("folder"))
        return f"Generate {folder.name}", partial(_generate, folder, settings), self._finished

    def summary(self, result: Path) -> str:
        return f"Wrote {result}"

    def _finished(self, folder: Path) -> Path:
        self.done.emit(str(folder))
        return folder


class DownloadSettings(Settings):
    """The arguments of `download_library`."""

    url: str = setting(TEM_IMAGENET, "Address", "Address of a ZIP archive that holds a library.")
    folder: Path | None = setting(
        None,
        "Into",
        "Folder in which the library gets a folder of its own.",
        none=NO_FOLDER,
    )
    sha256: str | None = setting(
        None, "SHA-256", "Checksum of the archive.", none="not checked", section=ADVANCED
    )


class Download(Panel):
    """Fetches a library from an address."""

    title = "Download library"
    Settings = DownloadSettings
    done = Signal(str)

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        inputs = {
            "url": partial(WordInput, "https://"),
            "sha256": partial(WordInput, "not checked", optional=True),
        }
        super().__init__(viewer, inputs)
        self.run_button.setText("Download")
        self.cancel_button.setToolTip("Stop; nothing is left of the download")

    def prepare(self) -> tuple[str, Work, Show]:
        folder, url = chosen_folder(self.form["folder"]), self.form["url"]
        work = partial(_download, url, folder, self.form["sha256"])
        return "Download library", work, self._finished

    def summary(self, result: Path) -> str:
        return f"Downloaded {result}"

    def _finished(self, folder: Path) -> Path:
        self.done.emit(str(folder))
        return folder


class LibraryPanel(PanelTabs):
    """Three panels on libraries: `browse`, `generate` and `download`."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.browse, self.generate = Browse(viewer), Generate(viewer)
        self.download = Download(viewer)
        self.add_tab("Browse", self.browse)
        self.add_tab("Generate", self.generate)
        self.add_tab("Download", self.download)
        self.generate.done.connect(self.open)
        self.download.done.connect(self.open)

    def open(self, folder: str | Path) -> Any:
        """Open a library to browse, and return the job that does it."""
        self.browse.form["folder"] = folder
        self.tabs.setCurrentWidget(self.browse)
        return self.browse.run()


def _recipe_input() -> NameOrFile:
    from napari_atomseg.simulation import recipes

    return NameOrFile({name: name for name in recipes()}, "Recipes (*.yaml *.yml)")


def _generate(
    folder: Path, settings: dict[str, Any], progress: Progress, cancel: CancelToken
) -> Path:
    from napari_atomseg.simulation.library.read import write_library

    progress(0, 0, "starting")
    layout = settings.pop("format")
    return write_library(folder, layout=layout, **settings, progress=progress, cancel=cancel)


def _download(
    url: str, folder: Path, sha256: str | None, progress: Progress, cancel: CancelToken
) -> Path:
    from napari_atomseg.simulation.library.read import download_library

    progress(0, 0, "connecting")
    return download_library(url, folder, progress, cancel, sha256)
