"""Processes killed, disks full, gradients that overflow: nothing that was good is lost."""

import contextlib
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from safetensors import safe_open

from napari_atomseg.io import write_columns, write_image
from napari_atomseg.progress import Cancelled, CancelToken
from napari_atomseg.training import load_recipe, step, train
from napari_atomseg.training.data import ExampleMaker
from napari_atomseg.training.engine import Alone
from napari_atomseg.training.loop import new_state

if sys.platform != "win32":
    import resource

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs fork and limits of a process")

STEPS = 16


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """A training of two annotated images that takes a fraction of a second."""
    folder = tmp_path_factory.mktemp("pairs")
    rng = np.random.default_rng(0)
    for name in "ab":
        write_image(folder / f"{name}.tif", rng.normal(size=(64, 64)).astype(np.float32))
        points = pd.DataFrame(rng.uniform(0, 63, (30, 2)), columns=["y", "x"])
        write_columns(folder / f"{name}.csv", points)
    return {
        "name": "tiny",
        "steps": STEPS,
        "batch": 2,
        "crop": 32,
        "validate_every": 4,
        "validation": 2,
        "half": False,
        "tasks": ["column_map"],
        "network": {"name": "atomsegnet_unet", "arguments": {"widths": [4, 8, 8]}},
        "source": {"kind": "folder", "folder": str(folder)},
    }


@pytest.fixture(scope="module")
def killed(tmp_path_factory, recipe):
    """The folder of trainings that were killed and went on, and the records of `killed.py`."""
    folder = tmp_path_factory.mktemp("killed")
    (folder / "recipe.yaml").write_text(yaml.safe_dump({**recipe, "validate_every": 1}))
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("killed.py"), folder / "recipe.yaml", folder],
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        timeout=120,
        check=True,
    )
    return folder, {each.pop("name"): each for each in json.loads(done.stdout)}


@posix
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
@pytest.mark.slow
def test_a_process_killed_while_it_writes_a_checkpoint_leaves_the_last_one(killed, share):
    found = killed[1][f"writing-{share}"]
    assert found["code"] == -9
    assert found["left"] == [pytest.approx(share, abs=0.01)]
    assert found["step"] == 1
    assert not found["weights"]


@posix
@pytest.mark.parametrize("rows", [1, 5, 10])
@pytest.mark.slow
def test_a_process_killed_at_any_time_leaves_its_last_checkpoint(killed, rows):
    found = killed[1][f"after-{rows}"]
    assert found["code"] == -9
    assert rows <= found["step"] < STEPS
    assert not found["weights"]


@posix
@pytest.mark.slow
def test_killed_trainings_go_on_to_the_very_same_files(killed):
    folder, records = killed
    assert len(records) == 6
    for name, found in records.items():
        assert found["resumed"] == 0
        assert not list((folder / name).glob(".*"))
        for file in ("w.safetensors", "w.csv", "w.checkpoint"):
            same = (folder / name / file).read_bytes() == (folder / "whole" / file).read_bytes()
            assert same, f"{name}/{file}"


@contextlib.contextmanager
def room_for(size):
    """Let no file grow beyond that many bytes: its writes fail in the system, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.slow
@posix
def test_a_full_disk_leaves_the_last_checkpoint_and_training_goes_on(tmp_path, recipe):
    path, checkpoint = tmp_path / "w.safetensors", tmp_path / "w.checkpoint"
    steps = []
    train({**recipe, "steps": 4}, path, device="cpu")
    before = checkpoint.read_bytes()
    path.unlink()
    with (
        room_for(len(before) // 2),
        pytest.raises(OSError, match=r"MB not written \(.+\).*intact.*w\.checkpoint"),
    ):
        train(recipe, path, device="cpu", watch=lambda event: steps.append(event.step))
    assert steps[-1] == 8
    assert checkpoint.read_bytes() == before
    assert sorted(each.name for each in tmp_path.iterdir()) == ["w.checkpoint", "w.csv"]
    train(recipe, path, device="cpu")
    whole = train(recipe, tmp_path / "whole.safetensors", device="cpu")
    assert path.read_bytes() == whole.read_bytes()


@pytest.mark.slow
@posix
def test_weights_that_do_not_fit_on_the_disk_are_written_later(tmp_path, recipe):
    """The last checkpoint and the table are there; the disk is full when the weights come."""
    path, steps = tmp_path / "w.safetensors", []
    with contextlib.ExitStack() as disk:

        def watch(event):
            if event.entry is not None and event.step == STEPS:
                disk.enter_context(room_for(1000))

        with pytest.raises(OSError, match=r"w\.safetensors"):
            train(recipe, path, device="cpu", watch=watch)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["w.checkpoint", "w.csv"]
    train(recipe, path, device="cpu", watch=lambda event: steps.append(event.step))
    assert not steps
    whole = train(recipe, tmp_path / "whole.safetensors", device="cpu")
    assert path.read_bytes() == whole.read_bytes()


def test_a_gradient_that_overflows_in_half_precision_is_left_out(recipe, monkeypatch):
    """The loss is finite and its gradient is not: network, average and moments stay as they are."""
    monkeypatch.setattr(step, "half_is_fast", lambda device: True)
    parsed, device = load_recipe({**recipe, "half": True}), torch.device("cpu")
    source = parsed.pairs.open(parsed.seed, parsed.targets)
    state = new_state(parsed, source.species, device)
    stepper = step.Stepper(state, parsed, Alone(device))
    batch = ExampleMaker(parsed, source).training(0, 2, "cpu")
    numbers = set()
    state.network.encoder[0][0].register_forward_hook(
        lambda m, given, made: numbers.add(made.dtype)
    )
    overflow = state.network.exit.weight.register_hook(lambda gradient: gradient * math.inf)
    before = {name: value.clone() for name, value in state.network.state_dict().items()}

    assert math.isfinite(stepper.step(batch))
    assert numbers == {torch.bfloat16}
    assert state.skipped == 1
    for network in (state.network, state.average):
        for name, value in network.state_dict().items():
            torch.testing.assert_close(value, before[name], rtol=0, atol=0)
    assert not state.optimizer.state

    overflow.remove()
    stepper.step(batch)
    assert state.skipped == 0
    after = state.network.state_dict()
    assert all(bool(value.isfinite().all()) for value in after.values())
    assert not torch.equal(after["exit.weight"], before["exit.weight"])


def test_cancelling_in_the_middle_of_a_step_ends_the_training_with_it(
    tmp_path, recipe, monkeypatch
):
    path, token, losses, steps = tmp_path / "w.safetensors", CancelToken(), [], []
    compute = step.multi_task_loss

    def cancelling(*arguments):
        losses.append(None)
        if len(losses) == 3:
            token.cancel()
        return compute(*arguments)

    monkeypatch.setattr(step, "multi_task_loss", cancelling)
    with pytest.raises(Cancelled):
        train(
            recipe, path, device="cpu", cancel=token, watch=lambda event: steps.append(event.step)
        )
    assert steps == [1, 2, 3]
    assert len(losses) == 3
    with safe_open(tmp_path / "w.checkpoint", framework="pt") as file:
        assert json.loads(file.metadata()["checkpoint"])["step"] == 3
