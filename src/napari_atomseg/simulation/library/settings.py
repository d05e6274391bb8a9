"""Settings of a library that is written."""

from __future__ import annotations

from typing import Literal

from napari_atomseg.settings import Settings, setting

Layout = Literal["folders", "zarr"]
LAYOUT = setting(
    "folders",
    "Format",
    "Folders of 8-bit pictures and text, as in TEM ImageNet,\n"
    "or one Zarr store of exact numbers, about seven times larger.",
    choices={"folders": "TEM ImageNet", "zarr": "Zarr store"},
)
"""The `layout` of `write_library`; panels call it by another name, for Qt has this one."""


class LibrarySettings(Settings):
    """Which samples of a recipe are written, and by how many processes."""

    count: int = setting(100, "Samples", "Number of samples of the library.", limits=(1, 10**7))
    seed: int = setting(0, "Seed", "Another seed draws other samples.", limits=(0, 2**31 - 1))
    workers: int | None = setting(
        None,
        "Processes",
        "Number of processes that simulate at the same time.",
        limits=(1, 256),
        none="all cores",
        section="Advanced",
    )
    start: int = setting(
        0,
        "First sample",
        "Number of the first sample in the recipe.",
        limits=(0, 2**31 - 1),
        section="Advanced",
    )


class LibraryArguments(LibrarySettings):
    """The keywords of `write_library`."""

    shape: tuple[int, int] | None = setting(
        None,
        "Size (y, x)",
        "Rows and columns of the images.",
        unit="px",
        limits=(16, 4096),
        none="as in the recipe",
    )
    layout: Layout = LAYOUT
