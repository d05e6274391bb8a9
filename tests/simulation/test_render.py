"""Sample i is the same in whichever batch it is rendered; targets agree with the columns."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_atomseg.simulation import SimulationRecipe, draw_scene, load_recipe, render, sample
from napari_atomseg.simulation.targets import upsampled

RECIPE = SimulationRecipe()
SHAPE = (64, 64)


@pytest.mark.parametrize("size", [1, 7, 64])
def test_a_sample_does_not_depend_on_its_batch_in_any_bit(size):
    scenes = [draw_scene(RECIPE, 1, i, (32, 32)) for i in range(64)]
    batch = render(scenes[:size] if size > 1 else scenes[4:5])
    alone = render([draw_scene(RECIPE, 1, 4, (32, 32))])
    row = 4 if size > 1 else 0
    assert torch.equal(batch.image[row], alone.image[0])
    for name, target in alone.targets.items():
        assert torch.equal(batch.targets[name][row], target[0])


@pytest.mark.slow
def test_every_random_scene_is_finite_and_within_the_recipe():
    scenes = [draw_scene(RECIPE, 2, i, SHAPE) for i in range(60)]
    batch = render(scenes)
    assert torch.isfinite(batch.image).all()
    assert batch.image.shape == (60, *SHAPE)
    assert float(batch.targets["gaussian_mask"].max()) <= 1.0
    assert float(batch.targets["no_background_no_noise"].min()) >= 0.0
    widths = np.array([scene.optics.width / scene.sampling for scene in scenes])
    assert batch.sigma.numpy() == pytest.approx(widths, rel=1e-5)


def test_discs_never_touch():
    for index in range(12):
        scene = draw_scene(RECIPE, 3, index, SHAPE)
        if len(scene.labels) < 2:
            continue
        radius = float(render([scene]).radius)
        points = scene.labels.points / scene.sampling
        distance = np.linalg.norm(points[:, None] - points[None], axis=-1)
        nearest = distance[distance > 0].min()
        assert 2 * radius < max(nearest, 2.0) + 1e-6


def test_the_finer_image_holds_the_coarser_one():
    """Its pixels, four in the place of one, are those of the same waves sampled more finely."""
    y, x = torch.meshgrid(torch.arange(40.0), torch.arange(48.0), indexing="ij")

    def wave(y, x):
        return 1.0 + torch.cos(2 * torch.pi * (3 * y / 40 + 5 * x / 48) + 0.3)

    fine = upsampled(wave(y, x)[None], 4)[0]
    rows = (torch.arange(64.0)[:, None] - 0.5) / 2 + 4
    cols = (torch.arange(80.0)[None] - 0.5) / 2 + 4
    assert torch.allclose(fine, wave(rows, cols), atol=1e-5)


def test_all_twelve_targets_of_the_library_are_there_and_agree():
    made = sample("temimagenet", 4, shape=(96, 96))
    targets, columns = made.targets, made.columns
    assert np.array_equal(targets["no_noise"], made.ideal)
    assert targets["no_noise_upinterpolation_2x"].shape == (192, 192)
    fine = targets["no_noise_no_background_upinterpolation_2x"]
    binned = fine.reshape(96, 2, 96, 2).mean(axis=(1, 3))
    coarse = targets["no_background_no_noise"]
    assert np.abs(binned - coarse).max() < 0.05 * coarse.max()
    assert targets["small_radius"] == pytest.approx(0.7 * targets["radius"])
    small = targets["small_circular_mask"] > 0
    assert small.sum() < (targets["circular_mask"] > 0).sum()
    assert np.all(targets["circular_mask"][small] > 0)
    for y, x in targets["position"].to_numpy().round().astype(int).clip(0, 95):
        assert targets["circular_mask"][y, x] == 1
    assert list(targets["position_radius"].columns) == ["y", "x", "radius"]
    assert len(targets["position"]) == len(columns) > 0


def test_element_maps_have_a_channel_a_species_with_its_columns_alone():
    made = sample(
        {
            "extends": "temimagenet",
            "specimen": {
                "kind": "crystal",
                "materials": [{"crystal": "SrTiO3", "zone_axis": [0, 0, 1]}],
                "shapes": {"bulk": 1},
            },
            "field": {"fields_of_view": [20]},
            "targets": {"radius": "peak"},
        },
        0,
        shape=(160, 160),
    )
    names, maps = made.facts["elements"], made.targets["element_maps"]
    assert names[0] == "Sr"
    assert len(maps) == len(names) >= 2
    assert maps.sum(axis=0).max() <= 1
    inner = made.columns.query("6 < y < 153 and 6 < x < 153")
    for name, one in zip(names, maps, strict=True):
        _, discs = ndimage.label(one[3:-3, 3:-3])
        of_kind = inner[inner["elements"] == name]
        assert discs >= len(of_kind) > 0
        for y, x in of_kind[["y", "x"]].to_numpy().round().astype(int):
            assert one[y, x] == 1


def test_the_dose_shows_in_the_signal_to_noise_ratio():
    def made(counts):
        shot = {"kind": "shot", "counts": [counts, counts]}
        return sample({"extends": "temimagenet", "distortions": [shot]}, 2)

    low, high = made(10.0), made(1000.0)
    assert np.array_equal(low.ideal, high.ideal)
    assert high.snr - low.snr == pytest.approx(20.0, abs=0.3)
    assert high.psnr - low.psnr == pytest.approx(20.0, abs=0.3)
    assert high.columns["snr"].iloc[0] == pytest.approx(10 * low.columns["snr"].iloc[0], rel=1e-5)


@pytest.mark.parametrize("name", ["temimagenet", "hr-stem"])
def test_a_change_of_one_part_leaves_the_others_as_they_were(name):
    plain = draw_scene(load_recipe(name), 5, 0)
    quiet = draw_scene(load_recipe({"extends": name, "distortions": []}), 5, 0)
    assert quiet.distortions == ()
    assert np.array_equal(plain.specimen.scatterers.y, quiet.specimen.scatterers.y)
    assert plain.optics == quiet.optics
