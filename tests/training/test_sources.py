"""Sources of pairs: endless, repeatable, and never showing what validation keeps."""

import shutil
from multiprocessing.reduction import ForkingPickler

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from napari_atomseg.io import write_columns, write_image
from napari_atomseg.simulation import load_recipe, open_library, sample, write_library
from napari_atomseg.simulation.library.read import LibraryError
from napari_atomseg.training.sources import (
    TARGET_NAMES,
    Annotated,
    AnySource,
    Augmentation,
    BlindSpotSource,
    Folder,
    LibraryFolder,
    MixtureSource,
    Simulated,
    SimulatedSource,
    SourceMixture,
    save_annotated,
    simulated_species,
)
from napari_atomseg.training.sources.blind_spot import hide_pixels
from napari_atomseg.training.sources.frames import mirrored
from napari_atomseg.training.sources.library import rescaled

CROP = 32
LAYERS = "apgan-pto-sto"


def make_library(tmp_path_factory, layout):
    folder = tmp_path_factory.mktemp("libraries") / "lib"
    write_library(folder, LAYERS, 8, shape=(48, 40), layout=layout)
    return folder


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return make_library(tmp_path_factory, "folders")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_library(tmp_path_factory, "zarr")


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def fingerprints(pairs):
    return {row.numpy().tobytes() for row in pairs.image}


@pytest.fixture(scope="module")
def sources(library, store):
    simulated = Simulated(recipe=LAYERS, species=("Pb", "Sr", "TiO"))
    stored = LibraryFolder(folder=library, species=("TiO", "Pb"))
    return {
        "simulated": simulated.open(3),
        "library": stored.open(3),
        "store": LibraryFolder(folder=store, species=("TiO", "Pb")).open(3),
        "blind_spot": BlindSpotSource({"a": noise(70, 60)}, 3),
        "mixture": SourceMixture(parts=(simulated, stored), weights=(1, 3)).open(3),
    }


KINDS = ("simulated", "library", "store", "blind_spot", "mixture")


@pytest.mark.parametrize("kind", KINDS)
def test_a_sample_is_the_same_in_any_batch(sources, kind):
    source = sources[kind]
    whole = source.batch(5, 6, CROP, "cpu")
    later = source.batch(8, 3, CROP, "cpu")
    alone = source.samples([10], CROP, "cpu")
    for part, rows in ((later, slice(3, 6)), (alone, slice(5, 6))):
        assert torch.equal(part.image, whole.image[rows])
        for name in source.targets:
            assert torch.equal(part.targets[name], whole.targets[name][rows])
        assert (part.weight is None) == (whole.weight is None)
        if part.weight is not None:
            assert torch.equal(part.weight, whole.weight[rows])


@pytest.mark.parametrize("kind", KINDS)
def test_pairs_have_the_shapes_and_types_that_they_promise(sources, kind):
    source = sources[kind]
    pairs = source.batch(0, 3, CROP, "cpu")
    assert len(pairs) == 3
    assert pairs.image.shape == (3, 1, CROP, CROP)
    assert tuple(pairs.targets) == source.targets
    for name, target in pairs.targets.items():
        channels = len(source.species) if name == "elements" else 1
        assert target.shape == (3, channels, CROP, CROP)
        assert target.dtype == pairs.image.dtype == torch.float32


@pytest.mark.parametrize("kind", KINDS)
def test_validation_is_fixed_and_never_in_the_stream(sources, kind):
    source = sources[kind]
    kept = source.validation(4, CROP, "cpu")
    again = source.validation(4, CROP, "cpu")
    assert torch.equal(kept.image, again.image)
    assert not fingerprints(kept) & fingerprints(source.batch(0, 24, CROP, "cpu"))


@pytest.mark.parametrize("kind", KINDS)
def test_sources_can_be_sent_to_other_processes(sources, kind):
    copy = ForkingPickler.loads(ForkingPickler.dumps(sources[kind]))
    there, here = copy.batch(2, 2, CROP, "cpu"), sources[kind].batch(2, 2, CROP, "cpu")
    assert torch.equal(there.image, here.image)


def test_the_simulator_gives_its_own_samples():
    recipe = load_recipe("temimagenet")
    pairs = SimulatedSource(recipe, 4).batch(2, 1, 64, "cpu")
    whole = sample(recipe, 2, 4, (64, 64))
    assert np.array_equal(pairs.image[0, 0].numpy(), whole.image)
    assert set(pairs.targets) == set(TARGET_NAMES) - {"elements", "line_shifts"}
    for name, target in pairs.targets.items():
        assert np.array_equal(target[0, 0].numpy(), whole.targets[name])


def test_only_wanted_targets_are_made_and_they_are_the_same():
    part = Simulated()
    some = part.open(0, ("gaussian_mask",)).batch(0, 2, CROP, "cpu")
    every = part.open(0).batch(0, 2, CROP, "cpu")
    assert list(some.targets) == ["gaussian_mask"]
    assert torch.equal(some.image, every.image)
    assert torch.equal(some.targets["gaussian_mask"], every.targets["gaussian_mask"])


def test_channels_of_elements_follow_the_names_of_species():
    recipe = load_recipe(LAYERS)
    names = simulated_species(recipe)
    assert set(names) == {"Pb", "Sr", "TiO"}
    straight = SimulatedSource(recipe, 1, ("elements",), names).batch(0, 2, 64, "cpu")
    swapped = SimulatedSource(recipe, 1, ("elements",), (*names[::-1], "Au")).batch(0, 2, 64, "cpu")
    maps, back = straight.targets["elements"], swapped.targets["elements"]
    assert torch.equal(maps.flip(1), back[:, :-1])
    assert not back[:, -1].any()
    assert maps.any()


def test_targets_that_a_source_cannot_give_are_named(library):
    with pytest.raises(ValueError, match="elements"):
        Simulated().open(0, ("elements",))
    with pytest.raises(ValueError, match="gives no circular_mask; it gives no_noise"):
        BlindSpotSource({"a": noise(64, 64)}, 0, ("circular_mask",))


def test_a_library_gives_parts_of_its_samples(library):
    source = LibraryFolder(folder=library, species=("Sr",)).open(0)
    pairs = source.batch(0, 1, 40, "cpu")
    stored = open_library(library)
    images = [stored.sample(i) for i in range(len(stored))]
    found = [
        (each, row)
        for each in images
        for row in range(9)
        if np.array_equal(each.image[row : row + 40], pairs.image[0, 0].numpy())
    ]
    ((whole, row),) = found
    for name in set(source.targets) - {"elements"}:
        expected = whole.targets[name][row : row + 40]
        assert np.array_equal(pairs.targets[name][0, 0].numpy(), expected)
    which = whole.settings["elements"].index("Sr") if "Sr" in whole.settings["elements"] else None
    expected = 0 if which is None else whole.targets["element_maps"][which][row : row + 40]
    assert np.array_equal(pairs.targets["elements"][0, 0].numpy() - expected, np.zeros((40, 40)))


def test_a_library_is_split_and_shown_evenly(library):
    source = LibraryFolder(folder=library).open(0)
    stream = source.samples(range(12), 40, "cpu").image
    kept = source.validation(2, 40, "cpu").image

    def columns(image):  # 40 of 48 rows: neighbouring crops overlap
        return {row.numpy().tobytes() for row in image[:, 0, 8:32].flatten(0, 1)}

    assert len({one.numpy().tobytes() for one in stream}) > 6  # crops differ between epochs
    assert not columns(stream) & columns(kept)
    for epoch in (stream[:6], stream[6:]):  # 0.75 of 8 samples, each once
        rows = [columns(one[None]) for one in epoch]
        assert all(not a & b for i, a in enumerate(rows) for b in rows[:i])


def test_one_sample_cannot_be_split(tmp_path):
    write_library(tmp_path / "one", "columns", 1, shape=(32, 32))
    with pytest.raises(LibraryError, match="one sample"):
        LibraryFolder(folder=tmp_path / "one").open(0)


def test_public_intensities_come_into_the_units_of_the_image():
    truth = sample("columns", 3, 0, (64, 64)).targets
    clean, flat = truth["no_noise"], truth["no_background_no_noise"]
    sharp = truth["no_noise_no_background_superresolution"]
    ramp = 0.2 * np.linspace(0, 1, 64, dtype=np.float32)
    found = rescaled(
        5 * (flat + ramp) + 2,
        {
            "no_noise": (flat + ramp - 0.1) / 3,
            "no_background_no_noise": flat / flat.max(),
            "no_noise_no_background_superresolution": sharp / sharp.max(),
            "circular_mask": truth["circular_mask"],
        },
    )
    assert clean.shape == (64, 64)
    assert np.allclose(found["no_noise"], 5 * (flat + ramp) + 2, atol=1e-3)
    assert np.allclose(found["no_background_no_noise"], 5 * (flat - flat.min()), atol=1e-3)
    total = found["no_background_no_noise"].sum()
    assert found["no_noise_no_background_superresolution"].sum() == pytest.approx(total, rel=1e-4)
    assert "circular_mask" not in found


@pytest.mark.parametrize("targets", [None, ("no_noise_no_background_superresolution",)])
def test_a_public_library_is_brought_into_the_units_of_its_images(tmp_path, library, targets):
    for pictures in (
        "image",
        "noNoise",
        "noBackgroundnoNoise",
        "noNoiseNoBackgroundSuperresolution",
    ):
        shutil.copytree(library / pictures, tmp_path / pictures)  # nothing says black and white
    pairs = LibraryFolder(folder=tmp_path).open(0, targets).batch(0, 6, 40, "cpu")
    sharp = pairs.targets["no_noise_no_background_superresolution"].sum(dim=(1, 2, 3))
    every = LibraryFolder(folder=tmp_path).open(0).batch(0, 6, 40, "cpu").targets
    assert torch.equal(sharp, every["no_noise_no_background_superresolution"].sum(dim=(1, 2, 3)))
    for image, truth in zip(pairs.image, every["no_noise"], strict=True):
        assert float(image.mean()) == pytest.approx(float(truth.mean()), abs=0.02)
        slope = torch.cov(torch.stack([image.flatten(), truth.flatten()]))
        assert float(slope[0, 1] / slope[1, 1]) == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize("seed", range(8))
def test_hidden_pixels_show_a_neighbour_and_are_those_that_count(seed):
    image = torch.arange(33.0 * 47).reshape(33, 47)  # every value once
    shown, mask = hide_pixels(image, 1 / 16, 2, np.random.default_rng(seed))
    hidden = mask > 0
    assert torch.equal(shown[~hidden], image[~hidden])
    cells = torch.nn.functional.max_pool2d(mask[None], 4, ceil_mode=True)
    assert cells[0, :8, :11].eq(1).all()  # one in each whole cell
    assert hidden.sum() <= cells.numel()
    here = torch.nonzero(hidden)
    taken = shown[hidden].long()
    there = torch.stack([taken // 47, taken % 47], dim=1)
    distance = (there - here).abs().amax(dim=1)
    assert ((distance >= 1) & (distance <= 2)).all()


def test_a_blind_spot_learns_the_image_itself():
    image = noise(64, 64)
    source = BlindSpotSource({"a": image}, 1, hidden=1 / 64)
    pairs = source.batch(0, 4, CROP, "cpu")
    assert torch.equal(pairs.targets["no_noise"][pairs.weight == 0], pairs.image[pairs.weight == 0])
    assert (pairs.targets["no_noise"] != pairs.image)[pairs.weight > 0].all()
    assert pairs.weight.sum(dim=(1, 2, 3)).tolist() == [16.0] * 4


def test_a_small_image_is_mirrored_and_only_its_own_pixels_count():
    source = BlindSpotSource({"a": noise(16, 64)}, 0, hidden=0.25)
    pairs = source.batch(0, 6, CROP, "cpu")
    for image, weight, truth in zip(
        pairs.image, pairs.weight, pairs.targets["no_noise"], strict=True
    ):
        rows = torch.nonzero(weight[0].sum(dim=1)).flatten()
        assert 8 <= int(rows[-1] - rows[0]) <= 15
        outside = image[0, image[0].std(dim=1) == 0]
        assert outside.eq(truth.mean()).all()  # nothing that is hidden shows in a mirror
        assert len(outside) == 16
    assert mirrored(np.arange(-3, 7), 4).tolist() == [3, 2, 1, 0, 1, 2, 3, 2, 1, 0]
    assert mirrored(np.arange(3), 1).tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.full((64, 64), np.nan), "not finite"),
        (np.ones((64, 64)), "shows nothing"),
        (noise(8, 64), "16 pixels"),
        (noise(64), "must be an image"),
        (np.array([["a"] * 16] * 16), "must be an image"),
    ],
)
def test_images_that_teach_nothing_are_refused_by_name(image, message):
    with pytest.raises(ValueError, match=f"scan 7: .*{message}"):
        BlindSpotSource({"scan 7": image})


def test_a_mixture_has_its_shares_in_every_batch():
    parts = [SimulatedSource(load_recipe("columns"), seed, ("no_noise",)) for seed in (0, 1, 2)]
    source = MixtureSource(parts, (1, 1, 6))
    for first in (0, 777, 10**9):
        counts = np.bincount(source.choices(range(first, first + 64)), minlength=3)
        assert np.abs(counts - [8, 8, 48]).max() <= 3
    pairs = source.batch(0, 8, CROP, "cpu")
    for row, place in enumerate(source.choices(range(8))):
        alone = parts[place].samples([row], CROP, "cpu")
        assert torch.equal(pairs.image[row], alone.image[0])
        assert torch.equal(pairs.targets["no_noise"][row], alone.targets["no_noise"][0])


def test_a_mixture_knows_the_species_of_all_its_parts(sources):
    source = sources["mixture"]
    assert source.species == ("Pb", "Sr", "TiO")
    places = source.choices(range(4))
    assert set(places) == {0, 1}
    maps = source.batch(0, 4, CROP, "cpu").targets["elements"]
    stored = [row for row, place in enumerate(places) if place == 1]
    assert not maps[stored, 1].any()  # that part was not asked for Sr
    assert maps[stored, 2].any()


def test_a_mixture_without_a_common_target_is_refused():
    masks = SimulatedSource(load_recipe("columns"), 0, ("circular_mask",))
    with pytest.raises(ValueError, match="no target is common"):
        MixtureSource([masks, BlindSpotSource({"a": noise(64, 64)})], (1, 1))


def test_a_partial_mixture_says_what_is_known_of_which_image(tmp_path):
    truth = sample("columns", 0, 0, (64, 64))
    marked = Annotated(truth.image, truth.columns[["y", "x"]].to_numpy())
    parts = [save_annotated(tmp_path, [marked]).model_dump(), {"kind": "simulated"}]
    wanted = ("no_noise", "circular_mask")
    whole = {"kind": "mixture", "parts": parts}
    with pytest.raises(ValueError, match="no no_noise"):
        TypeAdapter(AnySource).validate_python(whole).open(0, wanted)
    source = TypeAdapter(AnySource).validate_python(whole | {"partial": True}).open(0, wanted)
    assert source.targets == wanted
    simulated = torch.tensor(source.choices(range(8))) == 1
    for pairs, known in (
        (source.batch(0, 8, 48, "cpu"), simulated),
        (source.validation(8, 48, "cpu"), simulated.sort().values),
    ):
        assert pairs.known.keys() == {"no_noise"}
        assert torch.equal(pairs.known["no_noise"], known)
        assert (pairs.targets["no_noise"].abs().amax(dim=(1, 2, 3)) > 0).equal(known)
        assert pairs.targets["circular_mask"].amax(dim=(1, 2, 3)).sum() > len(pairs) / 2
    turned = Augmentation().apply(pairs, [np.random.default_rng(n) for n in range(8)])
    assert torch.equal(turned.known["no_noise"], known)


def test_a_simulation_may_do_without_targets_in_a_partial_mixture():
    film = {"kind": "simulated", "without": ["no_background_no_noise"]}
    wanted = ("no_noise", "no_background_no_noise")
    alone = TypeAdapter(AnySource).validate_python(film)
    assert "no_background_no_noise" not in alone.open(0).targets
    with pytest.raises(ValueError, match="no no_background_no_noise"):
        alone.open(0, wanted)
    mixture = {"kind": "mixture", "parts": [{"kind": "simulated"}, film], "partial": True}
    source = TypeAdapter(AnySource).validate_python(mixture).open(0, wanted)
    pairs = source.batch(0, 8, 48, "cpu")
    assert pairs.known.keys() == {"no_background_no_noise"}
    known = torch.tensor(source.choices(range(8))) == 0
    assert torch.equal(pairs.known["no_background_no_noise"], known)


def test_a_partial_mixture_must_give_something(tmp_path):
    clean = save_annotated(tmp_path, [Annotated(np.eye(32), target=np.eye(32) * 2)]).model_dump()
    mixture = {"kind": "mixture", "partial": True, "parts": [clean, {"kind": "simulated"}]}
    with pytest.raises(ValueError, match="it gives no_noise"):
        TypeAdapter(AnySource).validate_python(mixture).open(0, ("circular_mask",))


def test_a_mixture_of_weighted_and_other_pairs_weighs_the_others_fully():
    clean = SimulatedSource(load_recipe("columns"), 0, ("no_noise",))
    source = MixtureSource([clean, BlindSpotSource({"a": noise(64, 64)})], (1, 1))
    pairs = source.batch(0, 8, CROP, "cpu")
    for row, place in enumerate(source.choices(range(8))):
        share = float(pairs.weight[row].mean())
        assert share == (1.0 if place == 0 else 1 / 64)


def test_a_folder_is_read_by_the_names_in_it(tmp_path, library):
    table = sample("columns", 0, 0, (64, 64)).columns
    for name in ("a", "b"):
        write_image(tmp_path / f"{name}.tif", noise(64, 64))
    with pytest.raises(ValueError, match="nothing tells what its images show"):
        Folder(folder=tmp_path).open(0)
    write_columns(tmp_path / "a.csv", table)
    write_image(tmp_path / "a_target.tif", noise(64, 64, seed=1))
    source = Folder(folder=tmp_path).open(0)
    assert {"no_noise", "circular_mask", "gaussian_mask"} <= set(source.targets)
    write_columns(tmp_path / "b_points.csv", table)
    assert "no_noise" not in Folder(folder=tmp_path).open(0).targets
    assert "no_noise" in Folder(folder=library).open(0).targets
    with pytest.raises(FileNotFoundError, match="absent"):
        Folder(folder=tmp_path / "absent").open(0)
    (tmp_path / "empty").mkdir()
    with pytest.raises(LibraryError, match="no library"):
        Folder(folder=tmp_path / "empty").open(0)


def test_recipes_of_sources_survive_being_written_down():
    adapter = TypeAdapter(AnySource)
    part = adapter.validate_python(
        {
            "kind": "mixture",
            "parts": [
                {"kind": "simulated", "recipe": "temimagenet"},
                {"kind": "library", "folder": "lib", "split": 0.5},
                {"kind": "annotated", "images": [{"image": "a.tif", "points": "a.csv"}]},
                {"kind": "mixture", "parts": [{"kind": "folder", "folder": "x"}]},
                {"kind": "blind_spot", "images": ["a.tif"]},
            ],
        }
    )
    assert adapter.validate_json(adapter.dump_json(part)) == part
    for wrong in (
        {"kind": "mixture", "parts": []},
        {"kind": "mixture", "parts": [{"kind": "simulated"}], "weights": [1, 2]},
        {"kind": "library", "folder": "lib", "split": 1.0},
        {"kind": "annotated", "images": []},
        {"kind": "elsewhere"},
    ):
        with pytest.raises(ValidationError):
            adapter.validate_python(wrong)
