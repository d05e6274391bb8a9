"""What programs write into images is found; columns, vacuum and saturation are not taken for it."""

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from napari_atomseg.inference.marks import find_marks
from napari_atomseg.inference.marks.levels import grown, in_squares

SIZE = 256


def lattice(spacing, sigma, size=SIZE):
    """(H, W) Gaussian columns of heights of 0.5 to 1, at random places of the pixels."""
    rng = np.random.default_rng(3)
    axis = np.arange(spacing / 2, size, spacing)
    y, x = np.stack(np.meshgrid(axis, axis)) + rng.uniform(-0.5, 0.5, (2, len(axis), len(axis)))
    at = np.arange(size)
    rows, cols = (np.exp(-0.5 * ((at - v.reshape(-1, 1)) / sigma) ** 2) for v in (y, x))
    return (rows.T * rng.uniform(0.5, 1.0, y.size)) @ cols


def crystal(spacing=18, sigma=3.0, dose=30.0, background=0.1, seed=0):
    """(H, W) 8 bits of a crystal with shot noise."""
    ideal = lattice(spacing, sigma) + background
    counts = np.random.default_rng(seed).poisson(dose * ideal)
    return (counts * (255.0 / counts.max())).astype(np.uint8)


def written(image, kind):
    """The image with a mark, drawn as programs draw them, with smooth edges of letters."""
    picture = Image.fromarray(image)
    draw, font, bottom = ImageDraw.Draw(picture), ImageFont.load_default(14), SIZE - 1
    bar, label = (20, bottom - 14, 100, bottom - 10), (115, bottom - 20)
    if kind == "bar":
        draw.rectangle((20, bottom - 20, 90, bottom - 16), fill=255)
    elif kind == "black band":
        draw.rectangle((0, bottom - 28, bottom, bottom), fill=0)
        draw.rectangle(bar, fill=255)
        draw.text(label, "2 nm HAADF", fill=255, font=font)
    elif kind == "white band":
        draw.rectangle((0, bottom - 28, bottom, bottom), fill=255)
        draw.rectangle(bar, fill=0)
        draw.text(label, "2 nm 300 kV", fill=0, font=font)
    elif kind == "box":
        draw.rectangle((170, 10, 245, 40), fill=255)
        draw.text((180, 14), "HAADF", fill=0, font=font)
    elif kind == "grey bar":
        draw.rectangle((20, bottom - 20, 90, bottom - 14), fill=180)
    elif kind == "words":
        draw.text((8, 6), "HAADF 5.1 Mx", fill=255, font=font)
    return np.array(picture)


@pytest.mark.parametrize("kind", ["bar", "black band", "white band", "box", "grey bar"])
@pytest.mark.parametrize("dose", [30, 1000])
def test_bars_bands_and_boxes_are_found_as_a_whole(kind, dose):
    image = crystal(dose=dose)
    marked = written(image, kind)
    truth = marked != image
    found = find_marks(marked.astype(np.float32))
    assert found.all[truth].mean() > 0.97
    assert found.all[~truth].mean() < 0.02
    assert found.written.any()


def test_words_on_the_image_are_found():
    image = crystal(background=0.3)
    marked = written(image, "words")
    truth = marked.astype(int) - image > 100
    found = find_marks(marked.astype(np.float32))
    assert found.written[truth].mean() > 0.7
    assert found.written.mean() < 0.05


@pytest.mark.parametrize("kind", ["white band", "black band"])
def test_bands_are_found_after_compression(kind):
    image = crystal(spacing=8, sigma=1.2, dose=100)
    file = io.BytesIO()
    Image.fromarray(written(image, kind)).save(file, "JPEG", quality=85)
    found = find_marks(np.array(Image.open(file)).astype(np.float32))
    assert found.written[-24:].mean() > 0.95
    assert found.all[:-34].mean() < 0.01


@pytest.mark.parametrize(("spacing", "sigma"), [(18, 3.0), (8, 1.2), (50, 8.0)])
@pytest.mark.parametrize("dose", [0.3, 3.0, 100.0, None])
@pytest.mark.parametrize("saturated", [0.0, 0.01, 0.2])
def test_columns_are_no_marks_even_where_they_saturate(spacing, sigma, dose, saturated):
    ideal = lattice(spacing, sigma) + 0.05
    image = ideal if dose is None else np.random.default_rng(0).poisson(dose * ideal)
    top = np.quantile(image, 1 - saturated)
    assert not find_marks(np.minimum(image, max(top, 1e-9)).astype(np.float32)).all.any()


@pytest.mark.parametrize("rate", [0.002, 0.02, 0.3, 3.0])
def test_a_particle_in_vacuum_without_counts_is_no_mark(rate):
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE / 2
    particle = np.hypot(y, x) < 90
    counts = np.random.default_rng(0).poisson(rate * particle * (lattice(12, 2) + 0.1))
    assert not find_marks(counts.astype(np.float32)).written.any()


def test_borders_that_an_alignment_left_are_found_apart():
    image = crystal().astype(np.float32)
    padded = np.zeros_like(image)
    padded[12:, 17:] = image[12:, 17:]
    found = find_marks(padded)
    truth = np.ones(image.shape, dtype=bool)
    truth[12:, 17:] = False
    assert not found.written.any()
    assert (found.border == truth).all()


@pytest.mark.parametrize("image", [np.zeros((64, 64)), np.ones((4, 40)), np.eye(2)])
def test_constant_and_small_images_have_no_marks(image):
    assert not find_marks(image.astype(np.float32)).all.any()


@pytest.mark.parametrize("radius", [1, 2, 5])
def test_squares_of_pixels_are_joined_as_by_filters(radius):
    image = np.random.default_rng(radius).random((23, 31))
    highest = in_squares(image, radius, np.maximum, "edge")
    np.testing.assert_array_equal(highest, ndimage.maximum_filter(image, 2 * radius + 1))
    mask = image > 0.97
    wide = ndimage.binary_dilation(mask, np.ones((3, 3)), radius)
    np.testing.assert_array_equal(grown(mask, radius), wide)
