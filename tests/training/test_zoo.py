"""The queue that trains the shipped models in turns."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
import torch
import yaml

from napari_atomseg.networks.card import read_card
from napari_atomseg.networks.files import load_weights

SCRIPT = Path(__file__).parents[2] / "scripts" / "train_zoo.py"
TINY = {
    "steps": 7,
    "batch": 2,
    "crop": 48,
    "validate_every": 2,
    "validation": 2,
    "tasks": ["denoise"],
    "network": {"name": "unet", "arguments": {"widths": [4, 8]}},
    "optimizer": {"warm_up": 1},
}


@pytest.fixture(scope="module")
def zoo():
    spec = importlib.util.spec_from_file_location("train_zoo", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture
def queue(tmp_path):
    entries = []
    for name, share in (("one", 3.0), ("two", 1.0)):
        text = yaml.safe_dump(TINY | {"name": name})
        (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
        entries.append({"recipe": f"{name}.yaml", "share": share})
    path = tmp_path / "queue.yaml"
    path.write_text(yaml.safe_dump(entries), encoding="utf-8")
    return path


def test_the_shipped_queue_names_recipes_and_weights_that_are_there(zoo):
    queue = zoo.read_queue(zoo.QUEUE)
    assert next(iter(queue)) == "stem-hr"
    for name, (entry, recipe) in queue.items():
        assert recipe.name == name
        assert recipe.initial.is_file()
        assert read_card(recipe.initial).name == name
        assert recipe.optimizer.decay == zoo.DECAY
        assert entry.share > 0
    assert sum(entry.share for entry, _ in queue.values()) == pytest.approx(1.0)


def test_hours_come_close_to_the_shares(zoo):
    shares, seconds = {"a": 0.5, "b": 0.3, "c": 0.2}, {}
    for _ in range(400):
        name = zoo.next_turn(shares, seconds)
        seconds[name] = seconds.get(name, 0.0) + {"a": 1.0, "b": 4.0, "c": 2.0}[name]
    whole = sum(seconds.values())
    for name, share in shares.items():
        assert seconds[name] / whole == pytest.approx(share, abs=0.02)


def test_turns_go_on_where_the_last_one_ended_and_leave_a_log(zoo, queue, tmp_path):
    folder = tmp_path / "zoo"
    recipes = zoo.read_queue(queue)
    forever = zoo.Deadline(float("inf"))
    for expected in (4, 8):
        turn = zoo.take_turn(recipes["one"][1], folder, 3, forever)
        assert turn.step == expected
        zoo.note(folder / "zoo.csv", "one", turn, 10.0)
    assert zoo.spent(folder / "zoo.csv") == {"one": 20.0}
    assert zoo.next_turn({"one": 3.0, "two": 1.0}, {"one": 20.0}) == "two"
    assert zoo.steps_of(folder / "one.csv") == 8
    assert not (folder / "one.safetensors").exists()


def test_weights_are_taken_from_a_copy_of_the_schedule(zoo, queue, tmp_path):
    folder, recipes = tmp_path / "zoo", zoo.read_queue(queue)
    zoo.take_turn(recipes["two"][1], folder, 4, zoo.Deadline(float("inf")))
    before = (folder / "two.checkpoint").read_bytes()
    now = zoo.finished(recipes["two"][1], folder, 0)
    assert load_weights(now)[1].steps == 4
    later = zoo.finished(recipes["two"][1], folder, 3)
    assert later == now
    assert load_weights(later)[1].steps == 7
    assert (folder / "two.checkpoint").read_bytes() == before
    assert not later.with_suffix(".checkpoint").exists()


def test_weights_are_blended_with_those_that_they_started_from(zoo, queue, tmp_path):
    folder, recipe = tmp_path / "zoo", zoo.read_queue(queue)["one"][1]
    zoo.take_turn(recipe, folder, 2, zoo.Deadline(float("inf")))
    first = zoo.finished(recipe, folder, 0).rename(tmp_path / "first.safetensors")
    zoo.take_turn(recipe, folder, 6, zoo.Deadline(float("inf")))
    last = zoo.finished(recipe, folder, 0)
    old, new = (load_weights(path)[0].state_dict() for path in (first, last))
    zoo.blend(last, recipe.model_copy(update={"initial": first}), 0.75)
    made, card = load_weights(last)
    for name, tensor in made.state_dict().items():
        expected = 0.25 * old[name] + 0.75 * new[name]
        # Files hold half precision.
        torch.testing.assert_close(tensor, expected, atol=2e-3, rtol=2e-3)
    assert card.scores["psnr_out"] != load_weights(first)[1].scores["psnr_out"]
    with pytest.raises(ValueError, match="no initial weights"):
        zoo.blend(last, recipe, 0.5)


def test_a_turn_ends_with_the_hours(zoo, queue, tmp_path):
    turn = zoo.take_turn(zoo.read_queue(queue)["one"][1], tmp_path / "zoo", 100, zoo.Deadline(0.0))
    assert turn.step == 1


@pytest.mark.parametrize("wrong", [{"share": 0.0}, {"share": 1.0, "rate": 1.0}])
def test_wrong_queues_are_refused(zoo, queue, wrong):
    queue.write_text(yaml.safe_dump([{"recipe": "one.yaml"} | wrong]), encoding="utf-8")
    with pytest.raises(ValueError, match=r"share|rate"):
        zoo.read_queue(queue)


def test_unknown_models_are_named(zoo, queue, capsys):
    with pytest.raises(SystemExit):
        zoo.main(["--queue", str(queue), "--only", "three"])
    assert "three is not in the queue; choose of one, two" in capsys.readouterr().err
