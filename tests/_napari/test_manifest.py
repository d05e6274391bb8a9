"""What napari learns about the plugin without importing it."""

from __future__ import annotations

from collections import Counter
from itertools import chain

import pytest
from npe2 import PluginManifest
from npe2.manifest.utils import import_python_name

from napari_atomseg._napari.dock import Docked
from napari_atomseg._napari.preferences import Preferences
from napari_atomseg.io import COLUMN_SUFFIXES, IMAGE_SUFFIXES, WRITTEN_SUFFIXES
from napari_atomseg.io.images.read import READERS


@pytest.fixture(scope="module")
def manifest() -> PluginManifest:
    return PluginManifest.from_distribution("napari-atomseg")


def test_every_command_leads_to_code(manifest: PluginManifest) -> None:
    manifest.validate_imports()


def test_every_command_is_offered_once(manifest: PluginManifest) -> None:
    """As a widget, a reader, a writer or sample data."""
    offers = manifest.contributions
    offered = [
        each.command
        for each in chain(
            offers.widgets or (),
            offers.readers or (),
            offers.writers or (),
            offers.sample_data or (),
        )
    ]
    assert Counter(offered) == Counter(command.id for command in offers.commands)


def test_every_widget_is_a_panel_of_its_name(manifest: PluginManifest) -> None:
    commands = {command.id: command.python_name for command in manifest.contributions.commands}
    for widget in manifest.contributions.widgets:
        panel = import_python_name(commands[widget.command])
        assert issubclass(panel, Docked)
        assert panel.__name__.removesuffix("Panel") == widget.display_name


def test_every_widget_is_in_one_menu_that_napari_has(manifest: PluginManifest) -> None:
    from napari._app_model.constants import MenuId

    menus = manifest.contributions.menus
    assert set(menus) <= {str(menu.value) for menu in MenuId.contributables()}
    items = [item.command for item in chain.from_iterable(menus.values())]
    assert sorted(items) == sorted(widget.command for widget in manifest.contributions.widgets)


def test_preferences_without_a_page_equal_the_page_untouched(manifest: PluginManifest) -> None:
    page = manifest.contributions.configurations["computing"].properties
    assert {name: about.default for name, about in page.items()} == vars(Preferences())


def test_readers_take_all_files_but_pictures(manifest: PluginManifest) -> None:
    """Pictures and arrays are left to napari's own reader, as they have no calibration."""
    patterns = [p for each in manifest.contributions.readers for p in each.filename_patterns]
    assert len(patterns) == len(set(patterns))
    taken = {pattern.removeprefix("*") for pattern in patterns}
    pictures = {".png", ".jpg", ".jpeg", ".bmp", ".npy"}
    assert taken <= {*READERS, *COLUMN_SUFFIXES} - pictures
    assert taken >= {*IMAGE_SUFFIXES} - pictures


def test_writers_take_suffixes_that_can_be_read_again(manifest: PluginManifest) -> None:
    points, image, labels = manifest.contributions.writers
    assert set(points.filename_extensions) <= set(COLUMN_SUFFIXES)
    assert set(image.filename_extensions) == set(labels.filename_extensions) == {*WRITTEN_SUFFIXES}
    assert set(WRITTEN_SUFFIXES) <= set(IMAGE_SUFFIXES)
