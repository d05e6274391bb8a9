"""Columns as regions of a mask above Otsu's threshold, of models that give nothing else."""

import numpy as np
import pytest
from safetensors.torch import load_file
from typer.testing import CliRunner

import napari_atomseg as atomseg
from napari_atomseg import networks, weights
from napari_atomseg.cli import app
from napari_atomseg.io import read_image, write_image
from napari_atomseg.localization.detect import columns_from_mask
from napari_atomseg.networks.card import ModelCard, read_card
from napari_atomseg.networks.files import save_weights

SIM = atomseg.simulate("Pt", (0, 0, 1), (128, 128), 0.12, 5e4, seed=2)


@pytest.fixture(scope="module")
def mask_model(tmp_path_factory):
    """The default model with its mask as the only map, as a recipe of AtomSegNet trains it."""
    path = weights.resolve(None)
    card, tensors = read_card(path), load_file(path)
    place = card.tasks.index("column_mask")
    arguments = dict(card.arguments) | {"channels_out": 1}
    network = networks.create(card.architecture, **arguments)
    fold = network.stem**2
    own = slice(place * fold, (place + 1) * fold)
    tensors |= {name: tensors[name][own] for name in ("exit.weight", "exit.bias")}
    network.load_state_dict(tensors)
    target = tmp_path_factory.mktemp("models") / "mask.safetensors"
    made = ModelCard(
        name="mask",
        architecture=card.architecture,
        arguments=arguments,
        tasks=("column_mask",),
        normalisation=card.normalisation,
        spacing_range=card.spacing_range,
    )
    save_weights(target, network, made)
    return target


def score(columns):
    """F1 of the columns that the border does not cut."""
    inner = (
        table[table["y"].between(5, 122) & table["x"].between(5, 122)]
        for table in (columns, SIM.columns)
    )
    return atomseg.analyze.scores(*inner, radius=3).f1


def test_regions_of_a_mask_have_their_centroids():
    y, x = np.mgrid[:60, :80]
    places = np.array([[12.3, 14.6], [15.0, 50.5], [41.7, 30.2]])
    away = np.min([np.hypot(y - a, x - b) for a, b in places], axis=0)
    mask = np.clip(5.0 - away, 0.0, 1.0).astype(np.float32) * 0.9
    found = columns_from_mask(mask)
    order = np.lexsort((places[:, 1], places[:, 0]))
    assert np.stack([found.y, found.x], axis=1) == pytest.approx(places[order], abs=0.08)
    assert found.score == pytest.approx(0.9)
    assert [found.labels[round(a), round(b)] for a, b in places[order]] == [1, 2, 3]
    assert len(columns_from_mask(np.zeros((20, 30), np.float32))) == 0


@pytest.mark.slow
def test_a_model_of_a_mask_alone_finds_columns_without_being_asked(mask_model):
    columns = atomseg.localize(SIM.image, mask_model, 0.12)
    assert columns.attrs["detector"] == "otsu"
    assert "mask gives no column map: Otsu's threshold divides its mask" in columns.attrs["notes"]
    assert set(columns["found_by"]) <= {"otsu", "sublattice", "residual"}
    assert score(columns) > 0.95
    labels = atomseg.segment(SIM.image, mask_model, 0.12)
    assert len(np.unique(labels)) - 1 == np.count_nonzero(columns["found_by"] == "otsu")


@pytest.mark.slow
def test_positions_without_a_fit_are_the_centroids_of_the_labels(mask_model):
    options = {"detector": "otsu", "sensitivity": 0.0}
    columns = atomseg.localize(SIM.image, mask_model, 0.12, refine="none", **options)
    labels = atomseg.segment(SIM.image, mask_model, 0.12, detector="otsu")
    assert sorted(columns["label"]) == np.unique(labels)[1:].tolist()
    for row in columns.itertuples():
        rows, cols = np.nonzero(labels == row.label)
        assert (row.y, row.x) == pytest.approx((rows.mean(), cols.mean()), abs=0.4)


def test_otsu_of_the_mask_of_any_model():
    columns = atomseg.localize(SIM.image, sampling=0.12, detector="otsu")
    assert score(columns) > 0.95


def test_models_that_find_no_columns_say_what_to_choose():
    for act in (atomseg.localize, atomseg.segment):
        with pytest.raises(ValueError, match=r"finds no columns.*detector='peaks'"):
            act(SIM.image, "restore-hr-stem")


@pytest.mark.slow
def test_the_command_line_does_the_same(tmp_path, mask_model):
    image, labels = tmp_path / "pt.tif", tmp_path / "labels.tif"
    write_image(image, SIM.image, 0.12)
    words = ["segment", image, "-o", labels, "--model", mask_model, "--detector", "otsu"]
    done = CliRunner().invoke(app, list(map(str, words)))
    assert done.exit_code == 0, done.output
    assert np.array_equal(read_image(labels).data, atomseg.segment(SIM.image, mask_model, 0.12))
