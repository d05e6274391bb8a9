"""The tour as pictures and as a moving one, for docs/tour.md and the README; needs a screen.

The steps are those of the Tour panel, done in a real window on its sample.
"""

from __future__ import annotations

from pathlib import Path

from napari.viewer import Viewer
from PIL import Image, ImageDraw, ImageFont, ImageOps
from window import open_viewer, settle, take

from napari_atomseg._napari.tour import STOPS

WIDTH, HEIGHT, CAPTION = 520, 456, 34
"""Pixels of the moving picture, and of the caption below it."""
COLOURS = 64
HOLD, FADE, FADES = 1800, 90, 3
"""Milliseconds of a step and of each picture between two, and how many there are of these."""
WORDS = (
    "recorded counts",
    "restored by a network",
    "columns, fitted in the counts",
    "unit cells and sublattices",
    "polar displacements of Ti",
)


def draw(folder: Path) -> None:
    """Do the tour; a picture of the window a step, and one that moves."""
    viewer = open_viewer()
    viewer.scale_bar.visible = True
    _, tour = viewer.window.add_plugin_dock_widget("napari-atomseg", "Tour")
    settle(1.0)
    shown = []
    for place, words in enumerate(WORDS):
        tour.go(place)
        tour.do().result()
        settle(1.0)
        take(viewer, folder / f"tour-{place + 1}.png")
        shown.append(captioned(canvas(viewer), f"{place + 1} of {len(STOPS)}: {words}"))
    move(shown, folder / "tour.gif")
    viewer.close()


def canvas(viewer: Viewer) -> Image.Image:
    """The canvas as it is drawn, in the size of the moving picture."""
    picture = Image.fromarray(viewer.screenshot(canvas_only=True, flash=False)).convert("RGB")
    # A panel beside it takes of its width, not of its height.
    return ImageOps.fit(picture, (WIDTH, HEIGHT), Image.Resampling.LANCZOS)


def captioned(picture: Image.Image, words: str) -> Image.Image:
    """Return a picture with words below it."""
    whole = Image.new("RGB", (WIDTH, HEIGHT + CAPTION), (38, 41, 48))
    whole.paste(picture)
    font = ImageFont.load_default(18)
    middle = (WIDTH // 2, HEIGHT + CAPTION // 2)
    ImageDraw.Draw(whole).text(middle, words, (235, 235, 235), font, anchor="mm")
    return whole


def move(pictures: list[Image.Image], path: Path) -> None:
    """Write pictures that fade into each other, and into the first again."""
    frames, times = [], []
    for here, there in zip(pictures, [*pictures[1:], pictures[0]], strict=True):
        frames.append(here)
        times.append(HOLD)
        for step in range(1, FADES + 1):
            frames.append(Image.blend(here, there, step / (FADES + 1)))
            times.append(FADE)
    few = [each.quantize(COLOURS, dither=Image.Dither.NONE) for each in frames]
    few[0].save(path, save_all=True, append_images=few[1:], duration=times, loop=0, optimize=True)
