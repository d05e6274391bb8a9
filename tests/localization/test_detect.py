import numpy as np
import pytest

from napari_atomseg.localization.detect import columns_from_map, columns_from_peaks


def test_each_spot_of_a_map_is_a_column(scene):
    known = scene(8, 14, 2.0, 0.9, 0.0, jitter=2.0)
    found = columns_from_map(known.image.astype(np.float32))
    assert len(found) == 64
    matched = np.hypot(found.y[:, None] - known.y, found.x[:, None] - known.x).min(axis=1)
    assert matched.max() < 0.2
    assert found.labels.max() == 64
    np.testing.assert_allclose(found.score, 0.9, atol=0.08)


def test_labels_are_numbered_in_the_order_of_the_positions(scene):
    known = scene(6, 14, 2.0, 0.9, 0.0, jitter=2.0)
    found = columns_from_map(known.image.astype(np.float32))
    at = found.labels[np.rint(found.y).astype(int), np.rint(found.x).astype(int)]
    np.testing.assert_array_equal(at, np.arange(1, 37))


def test_merged_columns_are_divided(draw):
    y, x = np.array([20.0, 20.0]), np.array([20.0, 28.0])
    spots = draw((40, 50), y, x, 3.0, 0.9, 0.0).astype(np.float32)
    assert spots[20, 24] > 0.6
    found = columns_from_map(spots)
    assert len(found) == 2
    assert found.x[0] == pytest.approx(20.0, abs=0.7)
    assert found.x[1] == pytest.approx(28.0, abs=0.7)


def test_a_ripple_on_a_spot_is_not_a_second_column(draw, rng):
    spot = draw((40, 40), np.array([20.0]), np.array([20.0]), 4.0, 0.9, 0.0)
    rippled = spot + 0.03 * rng.standard_normal(spot.shape) * (spot > 0.1)
    assert len(columns_from_map(rippled.astype(np.float32))) == 1


def test_a_saturated_spot_is_one_column(draw):
    spot = draw((40, 40), np.array([20.0]), np.array([20.0]), 5.0, 3.0, 0.0)
    found = columns_from_map(spot.astype(np.float32))
    assert len(found) == 1
    assert found.score[0] == 1.0


@pytest.mark.parametrize("level", [0.0, 0.1, 0.3, 1.0])
def test_a_constant_map_has_no_columns(level):
    found = columns_from_map(np.full((20, 30), level, np.float32))
    assert len(found) == (1 if level > 0.5 else 0)


def test_a_map_of_faint_noise_has_no_columns(rng):
    assert len(columns_from_map(rng.uniform(0, 0.2, (64, 64)).astype(np.float32))) == 0


def test_holes_in_a_map_are_no_columns(scene):
    known = scene(4, 14, 2.0, 0.9, 0.0)
    spots = known.image.astype(np.float32)
    spots[:28] = np.nan
    assert len(columns_from_map(spots)) == 8


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (2, 2)])
def test_the_smallest_images_are_searched(shape):
    assert len(columns_from_map(np.zeros(shape, np.float32))) == 0
    assert len(columns_from_peaks(np.zeros(shape, np.float32), 6.0)) == 0


@pytest.mark.parametrize("factor", [0.75, 1.0, 1.3])
def test_peaks_find_a_noisy_lattice_at_about_the_right_scale(factor, scene, rng):
    known = scene(10, 16, 3.0, 30.0, 10.0, jitter=1.0)
    found = columns_from_peaks(known.counted(rng).astype(np.float32), factor * 16)
    distance = np.hypot(found.y[:, None] - known.y, found.x[:, None] - known.x)
    assert len(found) == 100
    assert distance.min(axis=1).max() < 2.0


def test_peaks_do_not_find_columns_in_noise_or_on_a_slope(rng):
    noise = rng.poisson(100.0, (128, 128)).astype(np.float32)
    slope = np.linspace(0, 500, 128, dtype=np.float32)[:, None] + noise
    assert len(columns_from_peaks(noise, 14.0)) <= 2
    assert len(columns_from_peaks(slope, 14.0)) <= 2


def test_columns_of_many_merged_regions_are_those_of_each_region_alone(draw):
    pairs = [(y, x, gap) for y in (15.0, 45.0) for x, gap in ((15.0, 8), (55.0, 9))]
    alone = []
    for y, x, gap in pairs:
        at = np.array([x, x + gap])
        alone.append(draw((60, 90), np.full(2, y), at, 3.0, 0.9, 0.0).astype(np.float32))
    found = columns_from_map(np.max(alone, axis=0))
    each = [columns_from_map(one) for one in alone]
    assert [len(one) for one in each] == [2] * len(pairs)
    np.testing.assert_allclose(np.sort(found.y), np.sort(np.concatenate([o.y for o in each])), 1e-3)
    np.testing.assert_allclose(np.sort(found.x), np.sort(np.concatenate([o.x for o in each])), 1e-3)
    lone = draw((60, 90), np.array([45.0]), np.array([75.0]), 2.0, 0.9, 0.0).astype(np.float32)
    assert len(columns_from_map(np.maximum(lone, alone[0]))) == 3
