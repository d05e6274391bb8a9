"""Results of the command line in the viewer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from napari_atomseg._napari.show import open_viewer


@pytest.mark.parametrize("sampling", [None, 0.1, (0.1, 0.12)])
def test_viewer_holds_everything_in_one_place(
    make_napari_viewer: Any, plugin: Any, sampling: Any
) -> None:
    image = np.random.default_rng(0).random((32, 40)).astype(np.float32)
    columns = pd.DataFrame({"y": [3.0, 20.0], "x": [4.0, 30.0], "volume": [1.0, 2.0]})
    viewer = make_napari_viewer(
        ViewerClass=lambda **options: open_viewer(
            image,
            sampling,
            {"denoise": image, "superresolution": image},
            (image > 0.5).astype(np.int32),
            columns,
            name="crystal",
            block=False,
        )
    )
    assert [layer.name for layer in viewer.layers] == [
        "crystal",
        "crystal denoised",
        "crystal super-resolved",
        "crystal segmented",
        "crystal columns",
    ]
    visible = [layer.name for layer in viewer.layers if layer.visible]
    assert visible == ["crystal super-resolved", "crystal columns"]
    places = {(tuple(layer.scale), tuple(map(str, layer.units))) for layer in viewer.layers}
    assert len(places) == 1
    assert viewer.canvas.overlays.scale_bar.visible is (sampling is not None)
    (dock,) = viewer.window.dock_widgets.values()
    assert dock.image is viewer.layers["crystal"]
