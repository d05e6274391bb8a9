"""Sample data: three simulated scenes and two published images, downloaded on request."""

from __future__ import annotations

from typing import Any

from napari_atomseg import weights
from napari_atomseg._napari.layers import image_layer, sampled
from napari_atomseg._napari.preferences import preferences
from napari_atomseg._napari.simulate.layers import simulation_layers
from napari_atomseg._shared.download import download
from napari_atomseg.io import provenance, read_image

LayerData = tuple[Any, dict[str, Any], str]

_ATOMSEGNET = (
    "https://raw.githubusercontent.com/xinhuolin/AtomSegNet/"
    "744a5ae519d24ade7b77ec612f93f962d27dd01e/test_img/"
)
"""Test images of AtomSegNet (Lin et al. 2021, doi:10.1038/s41598-021-84499-w; MIT licence)."""


def strontium_titanate() -> list[LayerData]:
    """SrTiO3 [001] at low dose."""
    return _simulated("SrTiO3", shape=(512, 512), sampling=0.1, dose=8e3, seed=1)


def platinum_particle() -> list[LayerData]:
    """A Pt particle along [110], on vacuum, before an uneven background."""
    return _simulated(
        "Pt",
        zone_axis=(1, 1, 0),
        shape=(512, 512),
        sampling=0.12,
        dose=1e4,
        seed=2,
        rotation=17.0,
        background=0.15,
        background_kind="nonlinear",
        shape_kind="particle",
    )


def polar_domains() -> list[LayerData]:
    """PbTiO3 between layers of SrTiO3, in 180° domains; the recipe has its name."""
    from napari_atomseg.simulation import sample

    ((data, options, kind),) = _layers(sample("polar-domains", index=0, seed=1))
    return [(data, {**options, "name": "PbTiO3/SrTiO3"}, kind)]


def silicon() -> list[LayerData]:
    """Experimental ADF image of Si [110], 5 nm field of view."""
    return published(
        _ATOMSEGNET + "Si110_5nmX25us_03_none_none.png",
        "40832c41278b391aa27ed6f45fccee7dc689ce7284357418aef16f2c0a817258",
        "Si [110]",
        50.0 / 512,
    )


def dysprosium_scandate() -> list[LayerData]:
    """Experimental ADF image of DyScO3 [110], 8 nm field of view."""
    return published(
        _ATOMSEGNET + "10_dso_8nm_none_none.png",
        "6524711eacb8b4f0f863abdc76025fd9f0133dffad4622a2dd57c6aa2fd340c7",
        "DyScO3 [110]",
        80.0 / 1024,
    )


def _simulated(crystal: str, **settings: Any) -> list[LayerData]:
    from napari_atomseg.simulation import simulate

    return _layers(simulate(crystal, **settings))


def _layers(simulation: Any) -> list[LayerData]:
    return [layer.as_layer_data_tuple() for layer in simulation_layers(simulation)]


def published(url: str, sha256: str, name: str, sampling: float) -> list[LayerData]:
    """Return a published image, downloaded once and checked by its hash.

    Raises
    ------
    ConnectionError
        The image cannot be downloaded; the message names the folder it belongs to.
    """
    preferences()
    folder = weights.cache_folder() / "samples"
    file = url.rpartition("/")[2]
    try:
        path = download([url], folder / file, sha256=sha256)
    except OSError as error:
        raise ConnectionError(
            f"{name} could not be downloaded ({error}). Check the connection, or put the file into "
            f"{folder} by hand"
        ) from error
    record = provenance("download", url, {"sha256": sha256, "sampling": sampling})
    layer = image_layer(read_image(path).data, name, sampled(sampling), record)
    return [layer.as_layer_data_tuple()]
