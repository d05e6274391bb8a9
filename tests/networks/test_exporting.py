"""What networks compute for export is what they compute otherwise, at any size."""

import numpy as np
import pytest
import torch

from napari_atomseg import networks
from napari_atomseg.networks import exporting
from napari_atomseg.networks.card import ModelCard
from napari_atomseg.networks.finished import FinishedMaps
from napari_atomseg.networks.schemes import RANGE, STANDARD

SMALL = {
    "unet": {"widths": (4, 6, 8), "spectral": 2, "margin": 5},
    "cgrdn": {"width": 6, "growth": 4, "layers": 2, "blocks": 1, "groups": 2, "spectral": 2},
    "nafnet": {"width": 4, "encoder": (1, 1), "decoder": (1, 1), "middle": 1},
    "scan_lines": {"widths": (8, 12), "channels_out": 4},
    "atomsegnet_unet": {"widths": (4, 6, 8)},
    "atomsegnet_nested": {"widths": (4, 6, 8)},
    "apgan_generator": {"width": 4, "blocks": 2},
    "fcn1": {"widths": (4, 6, 8)},
    "fcn2": {"width": 4},
}
SIZES = ((64, 64), (67, 101), (96, 75))


def made(name: str) -> torch.nn.Module:
    """A small network none of whose weights is zero."""
    torch.manual_seed(0)
    network = networks.create(name, **SMALL[name]).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for value in network.parameters():
            value.add_(0.05 * torch.randn(value.shape, generator=generator))
    return network


@pytest.mark.parametrize("name", SMALL)
def test_networks_are_the_same_for_export(name: str) -> None:
    network = made(name)
    for size in SIZES:
        image = torch.randn(2, 1, *size, generator=torch.Generator().manual_seed(sum(size)))
        with torch.inference_mode():
            usual = network(image)
            with exporting.for_export():
                exported = network(image)
        assert exported.shape == usual.shape
        scale = max(float(usual.std()), 1e-3)
        np.testing.assert_allclose(exported, usual, rtol=0, atol=1e-3 * scale)


@pytest.mark.parametrize("size", [(6, 8), (7, 9), (5, 12), (12, 5)])
def test_products_with_waves_are_fourier_transforms(size: tuple[int, int]) -> None:
    image = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    with exporting.for_export():
        real, imaginary = exporting.transformed(image)
        back = exporting.transformed_back(real, imaginary, size[1])
        rows = exporting.frequencies(size[0], image.device)
        cols = exporting.half_frequencies(size[1], image.device)
        even = exporting.evenly(size[1], image.device)
        centred = exporting.rows_centred(image)
        again = exporting.rows_centred(centred, back=True)
        median = exporting.median_of_rows(image)
    expected = torch.fft.rfft2(image)
    np.testing.assert_allclose(real, expected.real, atol=1e-5)
    np.testing.assert_allclose(imaginary, expected.imag, atol=1e-5)
    np.testing.assert_allclose(back, image, atol=1e-5)
    np.testing.assert_allclose(rows, torch.fft.fftfreq(size[0]), atol=1e-7)
    np.testing.assert_allclose(cols, torch.fft.rfftfreq(size[1]), atol=1e-7)
    np.testing.assert_allclose(even, torch.linspace(0, 0.5, size[1]), atol=1e-7)
    np.testing.assert_array_equal(centred, torch.fft.fftshift(image, dim=-2))
    np.testing.assert_array_equal(again, image)
    np.testing.assert_array_equal(median, image.median(dim=-2, keepdim=True).values)


def test_nothing_stays_exporting_after_an_error() -> None:
    with pytest.raises(RuntimeError), exporting.for_export():
        raise RuntimeError
    assert not exporting.exporting()


def test_finished_maps_are_intensities_and_probabilities() -> None:
    tasks = ("denoise", "denoise_background", "column_map")
    card = ModelCard(
        name="small",
        architecture="unet",
        arguments={**SMALL["unet"], "channels_out": 3},
        tasks=tasks,
        normalisation=STANDARD,
    )
    torch.manual_seed(0)
    network = networks.create("unet", **card.arguments)
    torch.nn.init.normal_(network.exit.weight, std=0.1)
    image = torch.randn(1, 1, 64, 64)
    with torch.inference_mode():
        raw = network.eval()(image)
        maps = FinishedMaps.of(network, card)(image)
    np.testing.assert_allclose(maps[:, :1], image + raw[:, :1], atol=1e-6)
    np.testing.assert_allclose(maps[:, 1:2], image + raw[:, :1] + raw[:, 1:2], atol=1e-6)
    np.testing.assert_allclose(maps[:, 2:], torch.sigmoid(raw[:, 2:]), atol=1e-6)


def test_finished_maps_of_others_are_their_channels() -> None:
    card = ModelCard(
        name="theirs",
        architecture="fcn1",
        arguments=SMALL["fcn1"],
        tasks=("column_mask",),
        normalisation=RANGE,
    )
    network = made("fcn1")
    image = torch.rand(1, 1, 64, 64)
    with torch.inference_mode():
        maps = FinishedMaps.of(network, card)(image)
        np.testing.assert_allclose(maps, network(image).clamp(0, 1), atol=1e-6)
