"""What napari learns about the plugin without importing it."""

from __future__ import annotations

from pathlib import Path

import pytest
from npe2 import PluginManifest

from napari_atomseg._napari.preferences import Preferences


@pytest.fixture(scope="module")
def manifest() -> PluginManifest:
    return PluginManifest.from_distribution("napari-atomseg")


def test_every_command_leads_to_code(manifest: PluginManifest) -> None:
    manifest.validate_imports()


def test_panels_have_their_names_and_menus(manifest: PluginManifest) -> None:
    widgets = {w.command: w.display_name for w in manifest.contributions.widgets}
    names = ["Columns", "Library", "Localize", "Measure", "Models", "Restore", "Segment"]
    assert sorted(widgets.values()) == [*names, "Simulate", "Train"]
    menus = {
        menu.removeprefix("napari/"): [widgets[item.command] for item in items]
        for menu, items in manifest.contributions.menus.items()
    }
    assert menus == {
        "file/new_layer": ["Simulate", "Library"],
        "file/io_utilities": ["Models"],
        "layers/filter": ["Restore"],
        "layers/segment": ["Segment"],
        "layers/measure": ["Localize", "Columns", "Measure"],
        "layers/annotate": ["Train"],
    }


def test_preferences_without_a_page_equal_the_page_untouched(manifest: PluginManifest) -> None:
    page = manifest.contributions.configurations["computing"].properties
    assert {name: about.default for name, about in page.items()} == vars(Preferences())


@pytest.mark.parametrize("suffix", ["dm3", "dm4", "emd", "ser", "mrc", "hspy", "csv"])
def test_reader_is_asked_about_the_file(manifest: PluginManifest, suffix: str) -> None:
    patterns = {p for r in manifest.contributions.readers for p in r.filename_patterns}
    assert f"*.{suffix}" in patterns
    assert not any(Path(f"image.{plain}").match(p) for plain in ("tif", "png") for p in patterns)
