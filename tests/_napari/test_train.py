"""The Train panel: networks learn, are watched, stopped and resumed, and other panels use them."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from pydantic import TypeAdapter
from qtpy.QtWidgets import QApplication
from scipy.spatial import cKDTree
from typer.testing import CliRunner

from napari_atomseg import weights
from napari_atomseg._napari import preferences
from napari_atomseg._napari.train.recipe import START, values_of
from napari_atomseg.cli import app
from napari_atomseg.networks.files import load_weights, read_card
from napari_atomseg.networks.tasks import TASKS
from napari_atomseg.progress import Cancelled
from napari_atomseg.simulation import Simulation
from napari_atomseg.training import load_recipe, train
from napari_atomseg.training.losses import KINDS, AnyLoss
from napari_atomseg.weights.store import own_models

PATIENCE = 120.0
TINY = {
    "name": "tiny",
    "steps": 6,
    "batch": 2,
    "crop": 32,
    "validate_every": 2,
    "validation": 2,
    "network": {"name": "unet", "arguments": {"widths": [4, 8]}},
    "optimizer": {"rate": 2e-3, "warm_up": 2},
    "simulation": "columns",
}

pytestmark = pytest.mark.usefixtures("qtbot")


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        QApplication.processEvents()
        time.sleep(0.002)


def same_weights(first: Path, second: Path) -> bool:
    a, b = (load_weights(path)[0].state_dict() for path in (first, second))
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of this test's own."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("NAPARI_ATOMSEG_CACHE", str(folder))
    monkeypatch.setattr(preferences, "_OUTSIDE", str(folder))
    return folder


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A recipe that is trained in no time."""
    path = tmp_path / "opened.yaml"
    path.write_text(yaml.safe_dump(TINY))
    return path


@pytest.fixture
def train_panel(dock: Callable[[str], Any]) -> Any:
    return dock("Train")


@pytest.fixture
def panel(train_panel: Any, tiny: Path) -> Any:
    train_panel.training.open_recipe(tiny)
    train_panel.training.device = "cpu"
    return train_panel.training


@pytest.fixture
def marked(viewer: Any, scene: Simulation, image_layer: Any) -> Any:
    """Points of two species on a turned and scaled image."""
    layers = []
    for kind in ("Sr", "O"):
        rows = scene.columns[scene.columns["elements"].str.contains(kind)]
        positions = rows[["y", "x"]].to_numpy(dtype=float)
        layers.append(viewer.add_points(positions, name=kind, **_place(image_layer)))
    return layers


def _place(layer: Any) -> dict[str, Any]:
    return {
        "scale": layer.scale,
        "translate": layer.translate,
        "rotate": layer.rotate,
        "units": layer.units,
        "axis_labels": layer.axis_labels,
    }


def test_training_is_watched_while_it_runs(panel: Any) -> None:
    panel.tensorboard = True
    file = panel.run().result(PATIENCE)
    assert any(panel.recipe_file().with_suffix(".tensorboard").iterdir())
    watch = panel.watch
    assert watch.losses[0] == [1, 2, 3, 4, 5, 6]
    assert np.isfinite(watch.losses[1]).all()
    assert [entry["step"] for entry in watch.log] == [2, 4, 6]
    drawn = {curve.name: curve for curve in watch.loss_plot.curves}
    assert list(drawn["validation loss"].y) == [entry["validation_loss"] for entry in watch.log]
    for place in range(watch.metric_box.count()):
        watch.metric_box.setCurrentIndex(place)
        name = watch.metric_box.currentData()
        assert list(watch.metric_plot.curves[0].y) == [entry[name] for entry in watch.log]
    shown = [watch.task_box.itemData(place) for place in range(watch.task_box.count())]
    assert shown == list(panel.tasks)
    assert read_card(file).steps == 6
    assert "'tiny'" in panel.message.text()


def test_pictures_are_the_input_the_prediction_and_the_truth(panel: Any) -> None:
    panel.run().result(PATIENCE)
    pictures = panel.watch.pictures
    for place in range(panel.watch.task_box.count()):
        panel.watch.task_box.setCurrentIndex(place)
        images = [picture.image for picture in pictures.values()]
        assert list(pictures) == ["input", "prediction", "truth"]
        assert {(image.width(), image.height()) for image in images} == {(32, 32)}


@pytest.mark.slow
def test_what_the_button_did_is_a_file_that_gives_the_same_weights(
    panel: Any, tmp_path: Path
) -> None:
    file = panel.run().result(PATIENCE)
    again = train(panel.recipe_file(), tmp_path / "again.safetensors", device="cpu")
    assert same_weights(file, again)


@pytest.mark.slow
def test_paused_cancelled_and_resumed_it_comes_to_the_same_weights(
    panel: Any, tmp_path: Path, tiny: Path
) -> None:
    panel.steps = steps = 160  # so many that a busy machine does not come to their end too soon
    job = panel.run()
    wait_until(lambda: len(panel.watch.log) >= 1)
    panel.pause()
    assert panel.paused
    assert panel.pause_button.text() == "Go on"
    assert "Paused" in panel.message.text()
    time.sleep(0.3)
    QApplication.processEvents()
    waiting = panel.watch.losses[0][-1]
    time.sleep(0.3)
    QApplication.processEvents()
    assert panel.watch.losses[0][-1] == waiting < steps
    panel.pause(False)
    wait_until(lambda: panel.watch.losses[0][-1] > waiting)
    panel.cancel()
    with pytest.raises(Cancelled):
        job.result(PATIENCE)
    assert not own_models()
    stopped = panel.watch.losses[0][-1]
    assert stopped < steps
    assert f"step {stopped}" in panel.message.text()
    assert "Resume" in panel.run_button.text()
    file = panel.run().result(PATIENCE)
    assert panel.watch.losses[0][-1] == steps
    straight = train(
        load_recipe(TINY | {"steps": steps}), tmp_path / "straight.safetensors", device="cpu"
    )
    assert same_weights(file, straight)


@pytest.mark.slow
def test_a_new_model_is_offered_and_used_at_once(
    panel: Any, train_panel: Any, dock: Callable[[str], Any], image_layer: Any, tmp_path: Path
) -> None:
    panels = [dock(name) for name in ("Restore", "Segment", "Localize")]
    for each in panels:
        with pytest.raises(ValueError, match="tiny"):
            each.model = "tiny"
    panel.run().result(PATIENCE)
    for each in panels:
        each.model = "tiny"
    restored = panels[0].run().result(PATIENCE)
    assert restored.metadata["napari-atomseg"]["model"] == "tiny"
    assert np.isfinite(restored.data).all()

    models = train_panel.models
    assert models.selected == "tiny"
    assert "6 steps" in models.description.text()
    models.rename("tiny", "for SrTiO3")
    assert models.selected == "for SrTiO3"
    assert [each.model for each in panels] == [weights.DEFAULT] * 3
    panels[1].model = panel.initial = "for SrTiO3"
    exported = models.export("for SrTiO3", tmp_path / "copy")
    models.remove("for SrTiO3")
    assert models.selected == panel.initial == ""
    assert panels[1].model == weights.DEFAULT
    models.add(exported)
    assert models.selected == "copy"
    assert same_weights(own_models()["copy"], exported)


@pytest.mark.slow
def test_a_trained_model_can_learn_more(panel: Any) -> None:
    first = panel.run().result(PATIENCE)
    panel.name, panel.initial, panel.steps = "more", "tiny", 2
    second = panel.run().result(PATIENCE)
    recipe = read_card(second).recipe
    assert recipe["initial"] == first.name
    assert recipe["initial_sha256"] == weights.sha256(first)
    assert not same_weights(first, second)


@pytest.mark.parametrize("name", ["", "a/b", weights.DEFAULT])
def test_a_name_that_cannot_be_is_refused_before_training(
    name: str, panel: Any, notices: Any
) -> None:
    panel.name = name
    with pytest.raises(ValueError, match="name"):
        panel.run().result(PATIENCE)
    assert len(notices) == 1


def test_a_finished_model_is_not_overwritten_by_another_training(panel: Any) -> None:
    file = panel.run().result(PATIENCE)
    before = file.read_bytes()
    panel.resume = False
    with pytest.raises(ValueError, match="already"):
        panel.run().result(PATIENCE)
    panel.resume = True
    with pytest.raises(ValueError, match="6 steps already"):
        panel.run().result(PATIENCE)
    panel.seed, panel.steps = 5, 8
    with pytest.raises(ValueError, match="another recipe"):
        panel.run().result(PATIENCE)
    assert file.read_bytes() == before
    panel.seed = 0
    assert panel.run_button.text() == "Train further"
    assert panel.run().result(PATIENCE) == file
    assert read_card(file).steps == 8


def test_a_new_panel_simulates_by_a_shipped_recipe() -> None:
    values = values_of(START)
    assert (values["source"], values["recipe"]) == ("simulated", "columns")


def test_settings_come_back_from_their_file(panel: Any, tmp_path: Path) -> None:
    panel.source, panel.folder, panel.share = "library", str(tmp_path), 0.25
    panel.recipe, panel.tasks = "temimagenet", ("column_mask", "column_map")
    panel.network, panel.objective, panel.rate = "cgrdn_small", "apgan", 5e-4
    panel.steps, panel.patience, panel.seed = 77, 3, 4
    file = panel.save_recipe(tmp_path / "saved")
    assert file == tmp_path / "saved.yaml"
    recipe = load_recipe(file)
    assert recipe.tasks == ("column_map", "column_mask")
    assert recipe.source.weights == (0.75, 0.25)
    assert recipe.adversarial.loss.kind == "least_squares"
    assert [loss.kind for loss in recipe.losses["column_map"]] == ["ssim", "psnr"]
    settings = panel.form.values()
    panel.source, panel.tasks, panel.objective, panel.steps = "simulated", (), "usual", 5
    panel.open_recipe(file)
    assert panel.save_recipe(tmp_path / "again").read_text() == file.read_text()
    for name in ("tasks", "network", "objective", "rate", "steps", "patience", "seed"):
        assert getattr(panel, name) == getattr(settings, name)


def test_what_the_panel_has_no_setting_for_is_kept(panel: Any, tiny: Path, tmp_path: Path) -> None:
    assert load_recipe(panel.save_recipe(tmp_path / "same.yaml")) == load_recipe(tiny)
    special = TINY | {
        "losses": {"denoise": [{"kind": "chi_square"}]},
        "simulation": {"extends": "columns", "specimen": {"spacing_px": [9.0, 11.0]}},
    }
    tiny.write_text(yaml.safe_dump(special))
    panel.open_recipe(tiny)
    assert (panel.source, panel.objective) == ("", "own")
    panel.steps = 9
    saved = load_recipe(panel.save_recipe(tmp_path / "special.yaml"))
    assert saved == load_recipe(special | {"steps": 9})


def test_losses_and_everything_advanced_come_back_from_their_file(
    panel: Any, tmp_path: Path
) -> None:
    panel.source, panel.folder, panel.share, panel.recipe = "folder", str(tmp_path), 0.25, "columns"
    panel.tasks, panel.objective = ("column_map", "column_mask"), "own"
    losses = panel.form.inputs["losses"]
    for task, kind, weight in (("column_map", "ssim", 0.0), ("column_map", "mse", 2.5)):
        losses.task_box.setCurrentIndex(losses.task_box.findData(task))
        losses.kind_box.setCurrentIndex(losses.kind_box.findData(kind))
        losses.weight_box.setValue(weight)
        losses.add_button.click()
    panel.adversarial, panel.adversarial_discriminator = "least_squares", "apgan_discriminator"
    panel.adversarial_weight, panel.adversarial_start = 0.2, 7
    panel.arguments, panel.radius, panel.split = "widths: [4, 6, 8]", 2.5, 0.6
    panel.warm_up, panel.weight_decay, panel.clip, panel.average = 3, 0.01, 0.5, 0.9
    file = panel.save_recipe(tmp_path / "own.yaml")
    recipe = load_recipe(file)
    assert recipe.network.arguments == {"widths": [4, 6, 8]}
    assert [(each.kind, each.weight) for each in recipe.losses["column_map"]] == [
        ("ssim", 1.0),
        ("mse", 2.5),
    ]
    assert [each.kind for each in recipe.losses["column_mask"]] == ["cross_entropy"]
    adversarial = recipe.adversarial
    assert (adversarial.loss.kind, adversarial.loss.weight) == ("least_squares", 0.2)
    assert (adversarial.discriminator, adversarial.start) == ("apgan_discriminator", 7)
    folder = recipe.source.parts[0]
    assert (folder.radius, folder.split, recipe.source.weights) == (2.5, 0.6, (0.75, 0.25))
    assert not recipe.source.partial
    optimizer = recipe.optimizer
    assert (optimizer.warm_up, optimizer.weight_decay) == (3, 0.01)
    assert (optimizer.clip, optimizer.average) == (0.5, 0.9)
    settings = panel.form.values()
    panel.open_recipe(panel.save_recipe(tmp_path / "other.yaml"))
    panel.source, panel.objective, panel.arguments, panel.clip = "simulated", "usual", "", 9.0
    panel.open_recipe(file)
    assert panel.form.values() == settings
    assert panel.save_recipe(tmp_path / "again.yaml").read_text() == file.read_text()


def test_all_losses_can_be_chosen(panel: Any) -> None:
    kinds = TypeAdapter(AnyLoss).json_schema()["discriminator"]["mapping"]
    losses = panel.form.inputs["losses"]
    offered = set()
    for place in range(losses.task_box.count()):
        losses.task_box.setCurrentIndex(place)
        box = losses.kind_box
        offered |= {box.itemData(number) for number in range(box.count())}
    # Moved lines come from a source of their own, which recipes have and the panel opens.
    assert offered == {kind for kind in kinds if KINDS[kind].takes != "shifts"}


@pytest.mark.parametrize("text", ["widths", "widths: [", "[4, 8]", "widths: [4, 8]]"])
def test_arguments_that_are_none_are_refused(text: str, panel: Any) -> None:
    panel.arguments = text
    with pytest.raises(ValueError, match=r"arguments=.*must be like"):
        panel.run().result(PATIENCE)


def test_a_source_without_augmentation_stays_so(panel: Any, tiny: Path, tmp_path: Path) -> None:
    plain = TINY | {"source": {"kind": "library", "folder": "lib", "split": 0.5}}
    tiny.write_text(yaml.safe_dump(plain))
    panel.open_recipe(tiny)
    assert (panel.source, panel.folder) == ("library", tiny.parent / "lib")
    assert load_recipe(panel.save_recipe(tmp_path / "same.yaml")) == load_recipe(tiny)


@pytest.mark.slow
def test_a_saved_file_gives_the_same_weights_elsewhere(
    panel: Any, marked: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when it is moved with its images and run by the command from another folder."""
    panel.source, panel.pairs = "annotated", [("scene", ("Sr", "O"))]
    (tmp_path / "saved").mkdir()
    monkeypatch.chdir(tmp_path / "saved")
    panel.save_recipe("mine")
    first = panel.run().result(PATIENCE)
    (tmp_path / "saved").rename(tmp_path / "moved")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    command = ["train", "../moved/mine.yaml", "-o", "again.safetensors", "--device", "cpu"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert same_weights(first, tmp_path / "elsewhere/again.safetensors")


def test_a_model_that_learns_more_keeps_its_network(panel: Any) -> None:
    panel.run().result(PATIENCE)
    panel.network = "atomsegnet_unet"
    assert panel.arguments == ""
    panel.initial = "tiny"
    assert (panel.network, panel.arguments) == ("unet", "widths: [4, 8]")


def test_annotated_images_and_simulated_ones_teach_all_tasks(panel: Any, marked: Any) -> None:
    panel.source, panel.pairs = "annotated", [("scene", ("Sr", "O"))]
    panel.share, panel.tasks = 0.5, TASKS
    card = read_card(panel.run().result(PATIENCE))
    assert card.recipe["source"]["partial"]
    assert card.tasks == TASKS
    assert np.isfinite([card.scores[f"validation_{task}"] for task in TASKS]).all()


def test_augmentation_comes_back_from_its_file(panel: Any, tmp_path: Path) -> None:
    panel.rotation, panel.gamma = (-10.0, 10.0), (0.8, 1.25)
    panel.kept, panel.noise = (0.3, 0.7), (0.0, 0.5)
    file = panel.save_recipe(tmp_path / "changed.yaml")
    part = load_recipe(file).augmentation
    assert (part.rotation, part.kept, part.noise) == ((-10.0, 10.0), (0.3, 0.7), (0.0, 0.5))
    assert part.gamma == (0.8, 1.25)
    assert not part.flips
    panel.rotation, panel.kept = (0.0, 0.0), (1.0, 1.0)
    panel.open_recipe(file)
    assert (panel.rotation, panel.gamma, panel.kept) == ((-10.0, 10.0), (0.8, 1.25), (0.3, 0.7))
    lopsided = TINY | {"augmentation": {"offset": [0.0, 1.0], "rotation": [5.0, 10.0]}}
    file.write_text(yaml.safe_dump(lopsided))
    panel.open_recipe(file)
    panel.steps = 9
    saved = load_recipe(panel.save_recipe(tmp_path / "again.yaml"))
    assert saved == load_recipe(lopsided | {"steps": 9})


@pytest.mark.slow
def test_simulated_species_have_maps(panel: Any, tmp_path: Path) -> None:
    panel.tasks, panel.recipe = ("elements",), "apgan-pto-sto"
    found = load_recipe(panel.save_recipe(tmp_path / "found.yaml")).source.species
    assert len(found) > 1
    panel.elements = f"{found[0]}, none"
    assert load_recipe(panel.save_recipe(tmp_path / "named.yaml")).source.species == (
        found[0],
        "none",
    )
    card = read_card(panel.run().result(PATIENCE))
    assert card.species == (found[0], "none")


def test_a_file_that_is_no_recipe_is_refused(panel: Any, tiny: Path) -> None:
    before = panel.form.values()
    tiny.write_text("steps: many\n")
    with pytest.raises(ValueError, match="steps"):
        panel.open_recipe(tiny)
    assert panel.form.values() == before


def test_layers_become_pairs(
    panel: Any, viewer: Any, marked: Any, scene: Simulation, tmp_path: Path
) -> None:
    panel.source = "annotated"
    viewer.layers.selection = {viewer.layers["scene"], *marked}
    panel.form.inputs["pairs"].add_button.click()
    assert panel.pairs == (("scene", ("Sr", "O")),)
    assert panel.tasks == ("column_map", "column_mask", "elements")
    recipe = load_recipe(panel.save_recipe(tmp_path / "pairs.yaml"))
    source = recipe.source
    image = source.images[0].read()
    np.testing.assert_array_equal(image.image, scene.image)
    expected = np.concatenate([layer.data for layer in marked])
    np.testing.assert_allclose(image.points, expected, atol=1e-3)
    assert set(image.species) == {"Sr", "O"}
    assert recipe.pairs.open(0).species == ("O", "Sr")


def test_a_network_learns_from_layers_with_points(panel: Any, marked: Any) -> None:
    panel.source, panel.pairs = "annotated", [("scene", ("Sr", "O"))]
    assert panel.flips
    panel.share = 0.3
    card = read_card(panel.run().result(PATIENCE))
    assert card.tasks == ("column_map", "column_mask", "elements")
    assert card.species == ("O", "Sr")
    panel.watch.task_box.setCurrentIndex(panel.watch.task_box.findData("elements"))
    assert not panel.watch.pictures["truth"].image.isGrayscale()


@pytest.mark.slow
def test_images_of_which_the_model_is_least_sure_are_annotated_next(
    panel: Any, train_panel: Any, viewer: Any, marked: Any, scene: Simulation
) -> None:
    panel.source, panel.pairs = "annotated", [("scene", ("Sr", "O"))]
    annotate = train_panel.annotate
    with pytest.raises(ValueError, match="every image"):
        annotate.run().result(PATIENCE)
    noise = np.random.default_rng(0).normal(0.0, 1.0, scene.ideal.shape)
    place = {"scale": (0.15, 0.15), "units": ("angstrom", "angstrom")}
    viewer.add_image(scene.ideal, name="clear", **place)
    viewer.add_image(scene.ideal + noise, name="noisy", **place)
    ranked = annotate.run().result(PATIENCE)
    assert [source.name for source, _ in ranked] == ["noisy", "clear"]
    (points,) = annotate.mark(1)
    assert points.name == "clear column"
    assert points in viewer.layers
    strontium = scene.columns[scene.columns["elements"] == "Sr"][["y", "x"]].to_numpy()
    inside = ((strontium > 5) & (strontium < np.array(scene.ideal.shape) - 5)).all(axis=1)
    distance, _ = cKDTree(points.data).query(strontium[inside])
    assert np.median(distance) < 1.0
    assert panel.pairs == (("scene", ("Sr", "O")), ("clear", ("clear column",)))
    assert panel.order().taken[1].species == ("column",) * len(points.data)
    assert panel.initial == ""
    with pytest.raises(ValueError, match="choose an image"):
        annotate.mark(1)


@pytest.mark.slow
def test_the_model_that_has_marked_columns_learns_from_them(
    panel: Any, train_panel: Any, viewer: Any, marked: Any, scene: Simulation
) -> None:
    panel.source, panel.pairs = "annotated", [("scene", ("Sr", "O"))]
    panel.steps, panel.validate_every, panel.rate = 60, 30, 1e-2
    first = panel.run().result(PATIENCE)
    viewer.add_image(scene.ideal, name="next", scale=(0.15, 0.15), units=("angstrom", "angstrom"))
    annotate = train_panel.annotate
    annotate.model = "tiny"
    annotate.run().result(PATIENCE)
    layers = annotate.mark()
    assert {layer.name for layer in layers} <= {"next Sr", "next O"}
    assert (panel.name, panel.initial) == ("tiny 2", "tiny")
    card = read_card(panel.run().result(PATIENCE))
    assert card.species == ("O", "Sr")
    assert card.recipe["initial"] == first.name


def test_a_network_learns_to_denoise_from_an_image_alone(panel: Any, image_layer: Any) -> None:
    panel.source, panel.pairs = "blind_spot", [("scene", ())]
    assert panel.tasks == ("denoise",)
    card = read_card(panel.run().result(PATIENCE))
    assert card.recipe["source"]["kind"] == "blind_spot"


def test_species_can_be_a_feature_of_the_points(panel: Any, viewer: Any, image_layer: Any) -> None:
    viewer.add_points(
        [(9.0, 9.0), (9.0, 30.0), (30.0, 9.0)],
        name="atoms",
        features={"element": ["Ti", "Pb", "Ti"]},
        **_place(image_layer),
    )
    panel.source, panel.pairs, panel.species = "annotated", [("scene", ["atoms"])], "element"
    assert panel.order().taken[0].species == ("Ti", "Pb", "Ti")
    panel.species = "kind"
    with pytest.raises(ValueError, match=r"no feature 'kind'.*element"):
        panel.order()


@pytest.mark.slow
def test_layers_that_do_not_fit_are_refused(panel: Any, viewer: Any, image_layer: Any) -> None:
    viewer.add_points(np.empty((0, 2)), name="none", **_place(image_layer))
    viewer.add_points(np.zeros((3, 3)), name="deep")
    viewer.add_labels(np.ones((8, 8), int), name="small", **_place(image_layer))
    panel.source = "annotated"
    for truth, fault in {
        (): "nothing is known",
        ("none",): "empty",
        ("deep",): "3 axes",
        ("small",): "8 × 8 pixels",
        ("gone",): "no layer",
    }.items():
        panel.pairs = [("scene", truth)]
        with pytest.raises(ValueError, match=fault):
            panel.run().result(PATIENCE)
    panel.pairs = []
    with pytest.raises(ValueError, match="select the layers"):
        panel.run().result(PATIENCE)


@pytest.mark.slow
def test_images_that_cannot_be_learned_from_are_refused_with_a_reason(
    panel: Any, viewer: Any, notices: Any
) -> None:
    noise = np.random.default_rng(0).normal(size=(48, 48)).astype(np.float32)
    broken = noise.copy()
    broken[3, 4] = np.nan
    viewer.add_image(noise, name="good")
    viewer.add_image(broken, name="NaN")
    viewer.add_image(np.zeros((48, 48)), name="flat")
    viewer.add_image(np.stack([noise] * 3), name="stack")
    viewer.add_points([(9.0, 9.0), (20.0, 30.0), (40.0, 9.0)], name="marks")
    viewer.add_points([(900.0, 9.0), (20.0, 300.0)], name="outside")
    viewer.add_points([(20.0, 30.0)], name="single")
    viewer.add_labels(np.zeros((48, 48), int), name="empty labels")
    panel.source = "annotated"
    for (image, truth), fault in {
        ("NaN", "marks"): "NaN: 1 pixels are not finite",
        ("flat", "marks"): "flat: shows nothing",
        ("stack", "marks"): "2 axes, its image 'stack' 3",
        ("good", "outside"): "good: no point lies in its 48 × 48 pixels",
        ("good", "single"): "no image has two columns",
        ("good", "empty labels"): "its labels are empty",
    }.items():
        panel.pairs = [(image, (truth,))]
        panel.tasks = ("column_map",)
        notices.clear()
        with pytest.raises(ValueError, match=fault):
            panel.run().result(PATIENCE)
        assert len(notices) == 1
        assert re.search(fault, notices[0].message)
        assert re.search(fault, panel.message.text())
    panel.radius = 3.0
    panel.pairs = [("good", ("single",))]
    with pytest.raises(ValueError, match="too few columns"):
        panel.run().result(PATIENCE)
    assert not own_models()


def test_stacks_are_learned_from_frame_by_frame(panel: Any, viewer: Any, scene: Simulation) -> None:
    viewer.add_image(np.stack([scene.image, scene.image[::-1]]), name="stack")
    places = scene.columns[["y", "x"]].to_numpy(dtype=float)
    viewer.add_points(np.insert(places, 0, 1.0, axis=1), name="marks")
    panel.source, panel.pairs = "annotated", [("stack", ("marks",))]
    taken = panel.order().taken[0]
    assert taken.data.shape == (2, *scene.image.shape)
    assert (taken.points[:, 0] == 1).all()
    assert read_card(panel.run().result(PATIENCE)).tasks == (
        "column_map",
        "column_mask",
        "elements",
    )


def test_closing_the_dock_stops_the_training(viewer: Any, panel: Any, train_panel: Any) -> None:
    panel.steps = 100_000
    job = panel.run()
    wait_until(lambda: len(panel.watch.losses[0]) > 0)
    panel.pause()
    viewer.window.remove_dock_widget(train_panel)
    with pytest.raises(Cancelled):
        job.result(PATIENCE)
