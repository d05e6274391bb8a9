"""What holds for every kind of distortion."""

import re
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from napari_atomseg import distortion
from napari_atomseg.settings import fields_of

KINDS = list(distortion.KINDS.values())
VIEW = distortion.View(sampling=0.12, width=0.5, shape=(40, 48))
DOCUMENTATION = Path(__file__).parents[2] / "docs"
NAMES = list(distortion.KINDS)


def images(part, count=3, shape=(63, 71)):
    channels = (2,) if part.shared else ()
    return torch.rand((count, *channels, *shape), generator=torch.Generator().manual_seed(9))


def test_kinds_have_names_of_their_own():
    assert len(set(NAMES)) == len(NAMES) >= 25


@pytest.mark.parametrize("kind", KINDS, ids=NAMES)
def test_a_recipe_names_every_kind(kind):
    part = TypeAdapter(distortion.AnyDistortion).validate_python(
        {"kind": kind.model_fields["kind"].default}
    )
    assert type(part) is kind
    assert TypeAdapter(distortion.AnyDistortion).validate_json(part.model_dump_json()) == part
    with pytest.raises(ValidationError):
        kind(nonsense=1.0)
    with pytest.raises(ValidationError):
        kind(probability=1.5)


@pytest.fixture(scope="module")
def page():
    """The page of the documentation with its tables."""
    hooks = runpy.run_path(str(DOCUMENTATION / "scripts" / "tables.py"))
    return hooks["on_page_markdown"]((DOCUMENTATION / "distortions.md").read_text("utf-8"))


@pytest.mark.parametrize("kind", KINDS, ids=NAMES)
def test_the_documentation_has_every_kind_with_its_numbers(kind, page):
    (row,) = [
        line
        for line in page.splitlines()
        if re.match(rf"\| `{kind.model_fields['kind'].default}`( \(image and truth\))? \|", line)
    ]
    assert kind.equation in row
    for name in set(kind.model_fields) - {"kind", "probability"}:
        assert f"`{name}" in page


@pytest.mark.parametrize("kind", KINDS, ids=NAMES)
def test_every_number_is_described(kind):
    assert set(fields_of(kind)) == set(kind.model_fields) - {"kind", "probability"}


@pytest.mark.parametrize("kind", KINDS, ids=NAMES)
def test_an_example_changes_the_image(kind, batch, generators):
    part = kind(**kind.example)
    image = images(part, 1)
    values = batch(part.draw(np.random.default_rng(3), VIEW))
    assert not torch.allclose(part.apply(image, values, generators(1)), image)


@pytest.mark.parametrize("kind", KINDS, ids=NAMES)
def test_a_sample_is_the_same_alone_and_in_a_batch(kind, batch, generators):
    part, rng = kind(), np.random.default_rng(1)
    drawn, image = [part.draw(rng, VIEW) for _ in range(3)], images(part)
    together = part.apply(image, batch(*drawn), generators(3))
    assert together.shape == image.shape
    assert together.dtype == torch.float32
    for i in range(3):
        alone = part.apply(image[i : i + 1], batch(drawn[i]), generators(1, seed=i))
        assert torch.equal(alone[0], together[i])


@pytest.mark.parametrize("kind", KINDS, ids=NAMES)
def test_a_sample_is_the_same_for_any_number_of_threads(kind, batch, generators):
    part, threads = kind(), torch.get_num_threads()
    values = batch(part.draw(np.random.default_rng(1), VIEW))
    image = images(part, 1, (201, 211))
    results = []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            results.append(part.apply(image, values, generators(1)))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])


@pytest.mark.parametrize("kind", KINDS, ids=NAMES)
def test_draws_follow_the_generator_and_images_keep_their_input(kind, batch, generators):
    part = kind()
    first, again, other = (part.draw(np.random.default_rng(seed), VIEW) for seed in (3, 3, 4))
    assert first.keys() == other.keys()
    for name, value in first.items():
        np.testing.assert_array_equal(value, again[name])
        assert np.isfinite(value).all()
        assert np.shape(value) == np.shape(other[name])
    image = images(part, 1)
    before = image.clone()
    part.apply(image, batch(first), generators(1))
    assert torch.equal(image, before)


@pytest.mark.parametrize("kind", [k for k in KINDS if not k.shared])
def test_what_only_the_image_shows_leaves_truth_alone(kind, batch):
    part = kind()
    labels = torch.rand(1, 2, 8, 8)
    y, x = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    drawn = part.draw(np.random.default_rng(0), VIEW)
    assert torch.equal(part.apply_labels(labels, batch(drawn)), labels)
    np.testing.assert_array_equal(part.move(drawn, y, x), (y, x))
    assert part.keeps(drawn, y, x).all()


def test_lengths_are_given_in_any_unit():
    view = distortion.View(sampling=0.2, width=0.5, shape=(8, 8))
    assert view.pixels(1.0, "angstrom") == pytest.approx(5.0)
    assert view.pixels(1.0, "width") == pytest.approx(2.5)
    assert view.pixels(1.0, "pixel") == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("shot", {"counts": (1, 2), "dose": (1, 2)}),
        ("shot", {"counts": (0, 2)}),
        ("scan_jitter", {"phi": (0.0, 1.0)}),
        ("scan_jitter", {"sigma": (-1.0, 1.0)}),
        ("scan_jitter", {"odds": (0, 0, 0)}),
        ("scan_blur", {"decay": (0.0, 1.0)}),
        ("fast_scan", {"theta": (0.0, 90.0)}),
        ("fast_scan", {"gamma": (1.0, 3.0)}),
        ("row_lines", {"count": (3, 1)}),
        ("quantization", {"bits": (0, 8)}),
        ("gaussian_blur", {"sigma": (0.0, 9.0)}),
        ("missing_pixels", {"kept": (0.5, 1.1)}),
    ],
)
def test_senseless_ranges_are_refused(kind, fields):
    with pytest.raises(ValidationError):
        TypeAdapter(distortion.AnyDistortion).validate_python({"kind": kind, **fields})


def test_shared_distortions_act_alike_with_and_without_a_margin(batch, generators):
    inner = (..., slice(12, -12), slice(12, -12))
    for part in (distortion.Crop(), distortion.Annotations()):
        drawn = batch(part.draw(np.random.default_rng(2), VIEW))
        image = torch.rand(1, 2, 64, 72)
        wide = part.apply(image, drawn, generators(1))[inner]
        narrow = part.apply(image[inner], drawn, generators(1))
        assert torch.equal(wide != image[inner], narrow != image[inner])
    part = distortion.Interpolation(rotation=(90.0, 90.0))
    drawn = part.draw(np.random.default_rng(0), VIEW)
    centre = (VIEW.centre[:1], VIEW.centre[1:])
    np.testing.assert_allclose(part.move(drawn, *centre), centre)
