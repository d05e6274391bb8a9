"""Pairs from what somebody marked: positions, discs and spots are where they were marked."""

import numpy as np
import pytest
import torch

from napari_atomseg.io import write_columns, write_image
from napari_atomseg.simulation import sample
from napari_atomseg.simulation.targets import SMALL
from napari_atomseg.training.sources import (
    Annotated,
    AnnotatedImage,
    AnnotatedImages,
    AnnotatedSource,
    BlindSpotSource,
    save_annotated,
    save_blind_spot,
)
from napari_atomseg.training.sources.annotations import (
    RADIUS,
    SPOT,
    UNNAMED,
    centres,
    column_radius,
    frame_of,
    marked_frames,
)
from napari_atomseg.training.sources.frames import between

GRID = np.stack(np.meshgrid(np.arange(8.0, 64, 12), np.arange(8.0, 64, 12)), -1).reshape(-1, 2)


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def all_targets(annotated, radius=3.0, species=(UNNAMED,)):
    (marked,) = marked_frames(annotated)
    return frame_of(marked, radius, species).targets


def test_points_become_discs_and_spots_at_their_places():
    y, x = 20.3, 40.8
    targets = all_targets(Annotated(noise(64, 64), np.array([[y, x], [50.0, 10.0]])))
    rows, cols = np.mgrid[:64, :64]
    distance = np.minimum(np.hypot(rows - y, cols - x), np.hypot(rows - 50, cols - 10))
    assert np.array_equal(targets["circular_mask"][0].numpy(), distance <= 3)
    assert np.array_equal(targets["small_circular_mask"][0].numpy(), distance <= SMALL * 3)
    width = SPOT * 3
    spots = np.exp(-0.5 * (distance / width) ** 2)
    assert np.allclose(targets["gaussian_mask"][0].numpy(), spots, atol=1e-4)
    assert torch.equal(targets["elements"], targets["circular_mask"])


def test_discs_and_spots_match_the_simulator_of_the_same_radius():
    truth = sample("columns", 1, 0, (96, 96))
    radius = truth.targets["radius"]
    positions = truth.columns[["y", "x"]].to_numpy()
    targets = all_targets(Annotated(truth.image, positions), radius)
    edge = int(np.ceil(radius)) + 1  # discs of columns beyond the border reach no further
    inner = (0, slice(edge, -edge), slice(edge, -edge))
    found = targets["circular_mask"].numpy()[inner]
    assert np.mean(found != truth.targets["circular_mask"][inner[1:]]) < 0.002
    spots = targets["gaussian_mask"].numpy()[inner]
    assert np.abs(spots - truth.targets["gaussian_mask"][inner[1:]]).max() < 0.05


def test_each_species_has_a_channel():
    points = np.array([[10.0, 10], [30, 30], [50, 50]])
    annotated = Annotated(noise(64, 64), points, ("Ti", "Sr", "Ti"))
    maps = all_targets(annotated, species=("Sr", "Ti", "Pb"))["elements"]
    assert maps[:, 10, 10].tolist() == [0, 1, 0]
    assert maps[:, 30, 30].tolist() == [1, 0, 0]
    assert maps[:, 50, 50].tolist() == [0, 1, 0]
    source = AnnotatedSource([annotated])
    assert source.species == ("Sr", "Ti")
    unnamed = AnnotatedSource([Annotated(noise(64, 64), points)], species=("C",), radius=2)
    assert unnamed.species == ("C",)
    assert unnamed.batch(0, 4, 64, "cpu").targets["elements"].any()


def test_labels_are_the_mask_and_their_centres_the_columns():
    labels = np.zeros((64, 64), np.int32)
    labels[10:15, 20:27], labels[40:43, 5:8] = 7, 3
    annotated = Annotated(noise(64, 64), labels=labels)
    (marked,) = marked_frames(annotated)
    assert sorted(centres(marked).tolist()) == [[12, 23], [41, 6]]
    targets = frame_of(marked, 2.0, ()).targets
    assert np.array_equal(targets["circular_mask"][0].numpy(), labels > 0)
    assert targets["gaussian_mask"][0, 12, 23] == 1
    assert "elements" not in targets
    (mask,) = marked_frames(Annotated(noise(64, 64), labels=labels > 0))
    assert np.allclose(np.sort(centres(mask), axis=0), np.sort(centres(marked), axis=0))


def test_the_radius_follows_from_the_distance_of_columns():
    frames = marked_frames(Annotated(noise(64, 64), GRID))
    assert column_radius(frames) == pytest.approx(RADIUS * 12)
    with pytest.raises(ValueError, match="radius"):
        column_radius(marked_frames(Annotated(noise(64, 64), GRID[:1])))


def test_a_stack_gives_its_marked_frames():
    stack = noise(2, 3, 64, 64)
    points = np.column_stack([np.repeat([1, 4], 12), np.tile(GRID[:12], (2, 1))])
    frames = marked_frames(Annotated(stack, points))
    assert len(frames) == 2
    for frame, number in zip(frames, (1, 4), strict=True):
        assert np.array_equal(frame.image, stack.reshape(6, 64, 64)[number])
    assert all(np.array_equal(f.points, GRID[:12]) for f in frames)


def test_clean_images_are_targets_in_the_units_of_the_image():
    image, clean = noise(64, 64) + 5, noise(64, 64, seed=1) + 5
    source = AnnotatedSource([Annotated(image, target=clean)], split=0.5)
    assert source.targets == ("no_noise",)
    pairs = source.batch(0, 3, 20, "cpu")
    for one, truth in zip(pairs.image[:, 0], pairs.targets["no_noise"][:, 0], strict=True):
        row, col = np.argwhere(image == one[0, 0].item())[0]
        assert np.array_equal(clean[row : row + 20, col : col + 20], truth.numpy())


def test_one_image_is_divided_so_that_validation_is_never_shown():
    image = noise(80, 64)
    source = AnnotatedSource([Annotated(image, GRID * (1.2, 1.0))])

    def seen(pairs):
        weight = torch.ones_like(pairs.image) if pairs.weight is None else pairs.weight
        return set(pairs.image[weight > 0].tolist())

    parts = (
        (source.batch(0, 200, 32, "cpu"), image[:60]),
        (source.validation(200, 32, "cpu"), image[60:]),
    )
    for pairs, part in parts:
        pixels = set(part.ravel().tolist())
        assert seen(pairs) <= pixels
        assert len(seen(pairs)) > 0.98 * len(pixels)


ISLANDS = {
    "at the top": (GRID[:10] * 0.5 + (4, 0), (200, 64)),
    "at the bottom": (GRID[:10] * 0.5 + (150, 0), (200, 64)),
    "on the left": (GRID[:10] * 0.5, (64, 200)),
    "in a row": (np.column_stack([np.full(8, 20.0), np.arange(8.0, 64, 7)]), (100, 90)),
    "two of them": (np.array([[5.0, 5.0], [9.0, 9.0]]), (64, 64)),
}


@pytest.mark.parametrize("place", ISLANDS)
def test_one_image_is_divided_where_there_are_columns(place):
    """Also where most of the image is empty, so that validation sees columns."""
    points, shape = ISLANDS[place]
    axis, at = between(points, shape, 0.75)
    before = points[:, axis] < at - 0.5
    assert 0.375 <= before.mean() <= 0.875
    source = AnnotatedSource([Annotated(noise(*shape), points)], radius=1.0)
    sizes = [
        source._training[0].targets["circular_mask"].sum(),
        source._validation[0].targets["circular_mask"].sum(),
    ]
    assert min(sizes) > 0
    again = AnnotatedSource([Annotated(noise(*shape), points)], 7, radius=1.0)
    assert again._training[0].image.shape == source._training[0].image.shape


def test_validation_crops_of_an_empty_image_show_its_columns():
    points = GRID[:10] * 0.5 + (4, 0)
    source = AnnotatedSource([Annotated(noise(400, 300), points)], radius=2.0)
    shown = source.validation(16, 32, "cpu").targets["circular_mask"].amax(dim=(1, 2, 3))
    assert shown.all()
    learnt = source.batch(0, 64, 32, "cpu").targets["circular_mask"].amax(dim=(1, 2, 3))
    assert 0 < learnt.mean() < 0.6


def test_a_single_column_cannot_be_learnt_and_validated_on():
    one = Annotated(noise(64, 64), GRID[:1])
    with pytest.raises(ValueError, match="too few columns"):
        AnnotatedSource([one], radius=2.0)
    assert AnnotatedSource([one, Annotated(noise(64, 64), GRID)], radius=2.0)


def test_of_several_images_whole_ones_are_kept():
    images = [noise(40, 40, seed=i) for i in range(8)]
    source = AnnotatedSource([Annotated(each, GRID[:4]) for each in images])
    stream = source.batch(0, 12, 40, "cpu").image[:, 0].numpy()
    kept = source.validation(2, 40, "cpu").image[:, 0].numpy()

    def which(pictures):
        return [next(i for i in range(8) if np.array_equal(p, images[i])) for p in pictures]

    assert sorted(which(stream[:6])) == sorted(which(stream[6:]))  # each once before any again
    assert set(which(stream)) | set(which(kept)) == set(range(8))
    assert len(set(which(kept))) == 2


def test_only_what_all_images_have_is_a_target():
    with_points = Annotated(noise(64, 64), GRID)
    with_both = Annotated(noise(64, 64), GRID, target=noise(64, 64))
    assert "no_noise" not in AnnotatedSource([with_points, with_both]).targets
    assert "no_noise" in AnnotatedSource([with_both]).targets
    only_clean = Annotated(noise(64, 64), target=noise(64, 64))
    with pytest.raises(ValueError, match="common to all"):
        AnnotatedSource([with_points, only_clean])
    with pytest.raises(ValueError, match="there are none"):
        AnnotatedSource([])


@pytest.mark.parametrize(
    ("known", "message"),
    [
        ({}, "neither points nor labels nor a target"),
        ({"points": np.zeros((0, 2))}, "points are empty"),
        ({"points": GRID + 1000}, "no point lies in"),
        ({"points": np.full((2, 2), np.nan)}, "not finite"),
        ({"points": np.zeros((3, 3))}, r"must be \(P, 2\)"),
        ({"points": GRID, "species": ("Ti",)}, "1 species for 25 points"),
        ({"labels": np.zeros((64, 64), int)}, "labels are empty"),
        ({"labels": np.ones((64, 63), int)}, r"labels of shape \(64, 63\)"),
        ({"labels": np.ones((64, 64))}, "whole numbers"),
        ({"target": noise(32, 32)}, r"target of shape \(32, 32\)"),
        ({"target": np.full((64, 64), np.inf)}, "not finite"),
    ],
)
def test_annotations_that_do_not_fit_are_refused_by_name(known, message):
    with pytest.raises(ValueError, match=f"scan 7.*{message}"):
        AnnotatedSource([Annotated(noise(64, 64), **known, name="scan 7")])


def test_a_stack_of_which_no_frame_has_all_is_refused():
    labels = np.zeros((2, 64, 64), int)
    labels[1, 5:9, 5:9] = 1
    points = np.column_stack([np.zeros(len(GRID)), GRID])
    with pytest.raises(ValueError, match="both points and labels"):
        marked_frames(Annotated(noise(2, 64, 64), points, labels=labels))


def test_files_give_the_same_pairs_as_memory(tmp_path):
    labels = np.zeros((64, 64), np.int32)
    labels[10:15, 20:27] = 1
    images = [
        Annotated(noise(64, 64), GRID, ["Sr", "Ti"] * 12 + ["Sr"], labels, noise(64, 64, seed=1))
    ]
    part = save_annotated(tmp_path / "pairs", images, radius=2.5)
    there = AnnotatedImages.model_validate_json(part.model_dump_json()).open(5)
    here = AnnotatedSource(images, 5, radius=2.5)
    assert there.species == here.species == ("Sr", "Ti")
    assert there.targets == here.targets
    first, second = there.batch(0, 4, 48, "cpu"), here.batch(0, 4, 48, "cpu")
    assert torch.equal(first.image, second.image)
    for name in here.targets:
        assert torch.equal(first.targets[name], second.targets[name])
    stack = Annotated(noise(3, 64, 64), np.column_stack([np.full(len(GRID), 2), GRID]))
    part = save_annotated(tmp_path / "stack", [stack])
    assert torch.equal(
        part.open(1).batch(0, 1, 32, "cpu").image,
        AnnotatedSource([stack], 1).batch(0, 1, 32, "cpu").image,
    )


def test_what_cannot_be_learnt_from_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="points are empty"):
        save_annotated(tmp_path / "pairs", [Annotated(noise(64, 64), np.zeros((0, 2)))])
    with pytest.raises(ValueError, match="image 1: shows nothing"):
        save_blind_spot(tmp_path / "pairs", [noise(64, 64), np.zeros((64, 64))])
    assert not (tmp_path / "pairs").exists()


def test_noisy_images_in_files_give_the_same_pairs_as_in_memory(tmp_path):
    stack = noise(5, 40, 40)
    there = save_blind_spot(tmp_path, [stack], hidden=0.04).open(2).batch(0, 3, 32, "cpu")
    here = BlindSpotSource({"a": stack}, 2, hidden=0.04).batch(0, 3, 32, "cpu")
    assert torch.equal(there.image, here.image)
    assert torch.equal(there.weight, here.weight)


def test_tables_of_columns_name_their_species(tmp_path):
    truth = sample("temimagenet", 0, 0, (64, 64))
    write_image(tmp_path / "a.tif", truth.image)
    write_columns(tmp_path / "a.csv", truth.columns)
    image = {"image": tmp_path / "a.tif", "points": tmp_path / "a.csv"}
    source = AnnotatedImages(images=(AnnotatedImage(**image),)).open(0)
    assert source.species == tuple(sorted(truth.columns["elements"].unique()))
    with pytest.raises(OSError, match=r"a\.csv: lacks the column 'kind'"):
        AnnotatedImage(**image, species="kind").read()
    write_image(tmp_path / "stack.tif", np.stack([truth.image] * 2))
    with pytest.raises(OSError, match=r"a\.csv: lacks the column 'frame'"):
        AnnotatedImage(image=tmp_path / "stack.tif", points=tmp_path / "a.csv").read()
    with pytest.raises(OSError, match=r"gone\.tif"):
        AnnotatedImage(image=tmp_path / "gone.tif").read()
