"""How trainings start, pause, stop, fail and go on; alone and in several processes."""

import csv
import hashlib
import math
import multiprocessing
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import torch
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from napari_atomseg import networks
from napari_atomseg.networks.files import ModelCard, load_weights, read_card, save_weights
from napari_atomseg.networks.tasks import TARGETS, TASKS
from napari_atomseg.progress import Cancelled, CancelToken, PauseToken
from napari_atomseg.training import Diverged, TrainingRecipe, train
from napari_atomseg.training import checkpoint as checkpoints
from napari_atomseg.training.data import ExampleMaker, batches
from napari_atomseg.training.sources import PairBatch
from napari_atomseg.training.sources.base import Stream

TINY = {
    "name": "tiny",
    "seed": 1,
    "steps": 6,
    "batch": 2,
    "crop": 32,
    "validate_every": 3,
    "validation": 2,
    "half": False,
    "network": {"name": "unet", "arguments": {"widths": [4, 8]}},
}
GAN = {
    **TINY,
    "tasks": ["denoise", "column_map"],
    "network": {"name": "atomsegnet_unet", "arguments": {"widths": [4, 8, 8]}},
    "adversarial": {
        "loss": {"kind": "relativistic", "weight": 0.1},
        "arguments": {"widths": [4, 4, 8, 8]},
    },
}


GIVEN = tuple(TARGETS[task] for task in TASKS)


class Waves(Stream):
    """Cosines in noise, and what is wrong with some of them."""

    def __init__(self, poison=(), targets=GIVEN):
        super().__init__(targets)
        self.poison = poison

    def samples(self, indices, crop, device):
        rows = torch.arange(crop, dtype=torch.float32)
        images, truths = [], []
        for index in indices:
            generator = torch.Generator().manual_seed(index)
            wave = 0.5 + 0.5 * torch.cos(rows / 2 + index)[:, None].expand(crop, crop)
            noisy = wave + torch.randn(crop, crop, generator=generator)
            images.append(noisy * (math.nan if index in self.poison else 1.0))
            truths.append(wave)
        truth = torch.stack(truths)[:, None]
        return PairBatch(torch.stack(images)[:, None], dict.fromkeys(self.targets, truth))

    def validation(self, count, crop, device):
        return self.samples(range(10_000, 10_000 + count), crop, device)


def weights_of(path):
    return load_weights(path)[0].state_dict()


def assert_same(first, second, **tolerance):
    first, second = weights_of(first), weights_of(second)
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        torch.testing.assert_close(second[name], tensor, **(tolerance or {"rtol": 0, "atol": 0}))


def cut(recipe, path, step, **options):
    """A training that is cancelled after a step."""
    token = CancelToken()

    def stop(event):
        if event.step == step:
            token.cancel()

    with pytest.raises(Cancelled):
        train(recipe, path, watch=stop, cancel=token, device="cpu", **options)


@pytest.mark.slow
@pytest.mark.parametrize("step", [1, 3, 4])
@pytest.mark.parametrize("recipe", [TINY, GAN], ids=["plain", "adversarial"])
def test_a_cancelled_run_goes_on_from_its_last_step_to_the_same_weights(tmp_path, recipe, step):
    whole = train(recipe, tmp_path / "whole.safetensors", device="cpu", source=Waves())
    path = tmp_path / "cut.safetensors"
    cut(recipe, path, step, source=Waves())
    assert not path.exists()
    seen = []
    train(recipe, path, device="cpu", source=Waves(), watch=lambda event: seen.append(event.step))
    assert seen[0] == step + 1
    assert_same(whole, path)
    assert (tmp_path / "cut.csv").read_text() == (tmp_path / "whole.csv").read_text()


@pytest.mark.parametrize(
    "adversarial",
    [
        pytest.param({"loss": {"kind": "relativistic"}}, marks=pytest.mark.slow),
        {"loss": {"kind": "least_squares"}, "discriminator": "apgan_discriminator"},
        pytest.param(
            {"loss": {"kind": "least_squares"}, "conditional": False}, marks=pytest.mark.slow
        ),
    ],
)
def test_the_discriminator_learns_to_tell_maps_from_the_truth(tmp_path, adversarial):
    """With a generator that hardly moves, real and made maps are soon told apart."""
    recipe = {
        **TINY,
        "steps": 80,
        "validate_every": 80,
        "optimizer": {"rate": 1e-9, "final_rate": 1e-9, "warm_up": 0},
        "adversarial": {
            **adversarial,
            "arguments": {"widths": [8, 8, 8, 8]},
            "optimizer": {"rate": 2e-3},
        },
    }
    train(recipe, tmp_path / "w.safetensors", device="cpu", source=Waves())
    state = checkpoints.safe_open(tmp_path / "w.checkpoint", framework="pt")
    parsed = TrainingRecipe.model_validate(recipe)
    settings = parsed.adversarial
    judge = networks.create(
        settings.discriminator, **settings.arguments, channels_in=5 + settings.conditional
    )
    untrained = {name: value.clone() for name, value in judge.state_dict().items()}
    trained = {name: state.get_tensor(f"judge.{name}") for name in untrained}
    pairs = ExampleMaker(parsed, Waves()).training(900, 8, "cpu")
    # What a new network makes of an image: itself, itself, nothing, and undecided maps.
    made = torch.zeros(8, 5, 32, 32)
    made[:, :2], made[:, 3:] = pairs.image, 0.5
    answers = []
    for weights in (untrained, trained):
        judge.load_state_dict(weights)
        shown = (
            torch.cat([pairs.image, maps], dim=1) if settings.conditional else maps
            for maps in (pairs.targets, made)
        )
        real, fake = (judge(maps).detach() for maps in shown)
        answers.append(float(settings.loss.discriminator(real, fake)))
    assert answers[1] < 0.9 * answers[0]


@pytest.mark.slow
def test_the_discriminator_joins_when_it_is_told_to(tmp_path):
    paths = []
    for start in (0, 6, 7):
        recipe = {**GAN, "adversarial": {**GAN["adversarial"], "start": start}}
        paths.append(tmp_path / f"{start}.safetensors")
        train(recipe, paths[-1], device="cpu", source=Waves())
    never = train(
        {**GAN, "adversarial": None}, tmp_path / "n.safetensors", device="cpu", source=Waves()
    )
    assert_same(paths[1], paths[2])
    assert_same(paths[2], never)
    name = "judge.exit.weight"
    early, late = (checkpoints.safe_open(p.with_suffix(".checkpoint"), "pt") for p in paths[:2])
    assert not torch.equal(early.get_tensor(name), late.get_tensor(name))


def test_the_average_has_the_moments_of_batch_normalisation(tmp_path):
    path = train(
        {**TINY, "network": GAN["network"]},
        tmp_path / "w.safetensors",
        device="cpu",
        source=Waves(),
    )
    moments = [v for name, v in weights_of(path).items() if name.endswith("running_mean")]
    assert moments
    assert all(bool(each.any()) for each in moments)


def test_each_step_and_each_validation_is_an_event(tmp_path):
    events = []
    train(TINY, tmp_path / "w.safetensors", device="cpu", source=Waves(), watch=events.append)
    assert [each.step for each in events] == [1, 2, 3, 3, 4, 5, 6, 6]
    assert all(each.steps == 6 and math.isfinite(each.loss) for each in events)
    assert events[-1].seconds_left == 0.0 < events[0].seconds_left
    told = [each for each in events if each.entry is not None]
    rows = list(csv.DictReader((tmp_path / "w.csv").open()))
    assert [{k: float(v) for k, v in row.items()} for row in rows] == [n.entry for n in told]
    preview = told[-1].preview
    assert list(preview) == list(TASKS)
    for planes in preview.values():
        assert [plane.shape for plane in planes] == [(32, 32)] * 3
    image, made, true = preview["column_map"]
    assert 0 <= made.min() <= made.max() <= 1
    pairs = ExampleMaker(TrainingRecipe.model_validate(TINY), Waves()).validation("cpu")
    np.testing.assert_array_equal(image, pairs.image[0, 0].numpy())
    np.testing.assert_array_equal(true, pairs.targets[0, 3].numpy())


def test_a_paused_training_waits_and_goes_on(tmp_path):
    token, steps = PauseToken(), []
    reached = threading.Event()

    def watch(event):
        steps.append(event.step)
        if event.step == 2 and not reached.is_set():
            token.pause()
            reached.set()

    work = threading.Thread(
        target=train,
        args=(TINY, tmp_path / "w.safetensors"),
        kwargs={"device": "cpu", "source": Waves(), "watch": watch, "cancel": token},
    )
    work.start()
    assert reached.wait(60)
    time.sleep(0.3)
    assert token.paused
    assert steps[-1] == 2
    token.resume()
    work.join(60)
    assert steps[-1] == 6
    plain = train(TINY, tmp_path / "plain.safetensors", device="cpu", source=Waves())
    assert_same(plain, tmp_path / "w.safetensors")


def test_a_paused_training_can_be_cancelled():
    token = PauseToken()
    token.pause()
    threading.Timer(0.2, token.cancel).start()
    with pytest.raises(Cancelled):
        token.raise_if_cancelled()
    token.pause()
    with pytest.raises(Cancelled):
        token.raise_if_cancelled()


def test_a_step_whose_loss_is_not_finite_is_left_out(tmp_path):
    messages = []
    recipe = {**TINY, "network": GAN["network"]}
    path = train(
        recipe,
        tmp_path / "w.safetensors",
        device="cpu",
        source=Waves(poison=(5,)),
        progress=lambda done, total, message: messages.append(message),
    )
    assert [m for m in messages if m == "loss nan, skipped 1 in a row"]
    assert all(bool(v.isfinite().all()) for v in weights_of(path).values())


def test_a_training_without_finite_losses_gives_up_and_keeps_its_checkpoint(tmp_path):
    path = tmp_path / "w.safetensors"
    recipe = {**TINY, "steps": 40}
    with pytest.raises(Diverged, match="10 steps in a row, up to step 16"):
        train(recipe, path, device="cpu", source=Waves(poison=range(12, 100)))
    assert not path.exists()
    seen = []
    train(recipe, path, device="cpu", source=Waves(), watch=lambda event: seen.append(event.step))
    assert seen[0] == 16
    assert path.exists()


def test_training_stops_when_the_loss_does_not_fall_and_gives_the_best(tmp_path):
    """With a rate that destroys what was learnt, the first validation is the best."""
    recipe = {
        **TINY,
        "steps": 300,
        "validate_every": 2,
        "patience": 3,
        "optimizer": {"rate": 30.0, "final_rate": 30.0, "warm_up": 100, "average": 0.0},
    }
    path = train(recipe, tmp_path / "w.safetensors", device="cpu", source=Waves())
    losses = [float(r["validation_loss"]) for r in csv.DictReader((tmp_path / "w.csv").open())]
    best = losses.index(min(losses))
    assert len(losses) == best + 4 < 150
    card = read_card(path)
    assert card.steps == 2 * (best + 1)
    assert card.scores["validation_loss"] == min(losses)
    whole = train(
        {**recipe, "patience": None, "steps": card.steps, "validate_every": 2},
        tmp_path / "short.safetensors",
        device="cpu",
        source=Waves(),
    )
    # The rate's course depends on the number of steps, but not during the warm-up.
    assert_same(whole, path)


def saved(path, tasks, widths=(4, 8), name="unet"):
    torch.manual_seed(5)
    arguments = {"channels_out": len(tasks), "widths": list(widths)}
    network = networks.create(name, **arguments)
    for tensor in network.parameters():
        torch.nn.init.normal_(tensor)
    card = ModelCard(
        name="x", architecture=name, arguments=arguments, tasks=tasks, normalisation=""
    )
    save_weights(path, network, card, half=False)
    return path


STILL = {
    "steps": 1,
    "validate_every": 1,
    "optimizer": {"rate": 1e-12, "final_rate": 1e-12, "warm_up": 0, "weight_decay": 0.0},
}


def test_fine_tuning_starts_from_the_weights_and_names_them(tmp_path):
    first = saved(tmp_path / "first.safetensors", TASKS)
    path = train(
        {**TINY, **STILL, "initial": str(first)},
        tmp_path / "w.safetensors",
        device="cpu",
        source=Waves(),
    )
    assert_same(first, path, rtol=1e-3, atol=1e-3)
    recipe = read_card(path).recipe
    assert recipe["initial_sha256"] == hashlib.sha256(first.read_bytes()).hexdigest()
    assert recipe["initial"] == first.name, "folders of the one who trained are nobody's business"
    saved(first, TASKS[::-1])
    with pytest.raises(OSError, match="SHA-256"):
        train({**recipe, "initial": str(first)}, tmp_path / "again.safetensors", source=Waves())


def test_fine_tuning_for_other_tasks_takes_the_channels_that_mean_the_same(tmp_path):
    first = saved(tmp_path / "first.safetensors", TASKS)
    tasks = ("column_map", "denoise")
    recipe = {**TINY, **STILL, "tasks": tasks, "initial": str(first)}
    path = train(recipe, tmp_path / "w.safetensors", device="cpu", source=Waves())
    old, new = weights_of(first), weights_of(path)
    torch.testing.assert_close(new["entry.weight"], old["entry.weight"], rtol=1e-3, atol=1e-3)
    before, after = (w["exit.weight"].view(-1, 4, 4, 3, 3) for w in (old, new))
    for channel, task in enumerate(tasks):
        torch.testing.assert_close(after[channel], before[TASKS.index(task)], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ({"name": "unet", "arguments": {"widths": [4, 6]}}, "another size"),
        ({"name": "fcn1"}, "a unet, which cannot start a fcn1"),
    ],
)
def test_weights_of_another_network_are_refused(tmp_path, network, message):
    first = saved(tmp_path / "first.safetensors", TASKS)
    recipe = {**TINY, "network": network, "initial": str(first)}
    with pytest.raises(OSError, match=message):
        train(recipe, tmp_path / "w.safetensors", device="cpu", source=Waves())


def test_gates_join_a_trained_network_and_do_not_leave_it(tmp_path):
    first = saved(tmp_path / "first.safetensors", TASKS)
    recipe = {**TINY, **STILL, "initial": str(first)}
    recipe["network"] = {"name": "unet", "arguments": {"widths": [4, 8], "spectral": 2}}
    path = train(recipe, tmp_path / "gated.safetensors", device="cpu", source=Waves())
    old, new = weights_of(first), weights_of(path)
    assert {name.split(".")[0] for name in new.keys() - old.keys()} == {"gates"}
    torch.testing.assert_close(new["entry.weight"], old["entry.weight"], rtol=1e-3, atol=1e-3)
    with pytest.raises(OSError, match="another size"):
        train(
            {**TINY, "initial": str(path)}, tmp_path / "w.safetensors", device="cpu", source=Waves()
        )


def test_missing_initial_weights_are_named(tmp_path):
    with pytest.raises(OSError, match=r"absent\.safetensors"):
        train({**TINY, "initial": "absent.safetensors"}, tmp_path / "w.safetensors")


def test_a_source_that_lacks_a_truth_is_refused(tmp_path):
    with pytest.raises(ValueError, match="gives no no_background_no_noise"):
        train(TINY, tmp_path / "w.safetensors", source=Waves(targets=("no_noise",)))


def test_a_damaged_checkpoint_is_named(tmp_path):
    path = tmp_path / "w.safetensors"
    for content in (b"", b"\0" * 64, b"no safetensors file at all"):
        path.with_suffix(".checkpoint").write_bytes(content)
        with pytest.raises(OSError, match=r"w\.checkpoint is damaged"):
            train(TINY, path, device="cpu", source=Waves())


def kill_and_go_on(maker, seen):
    """Kill the processes that prepare images after the first batch, and ask for more."""
    with batches(maker, torch.device("cpu"), share=(1, 3)) as ahead:
        seen.append(next(ahead))
        for process in multiprocessing.active_children():
            process.kill()
        for _ in range(50):
            next(ahead)


@pytest.mark.slow
def test_processes_prepare_the_same_images_ahead():
    recipe = TrainingRecipe.model_validate({**TINY, "workers": 1, "batch": 3})
    maker = ExampleMaker(recipe, recipe.pairs.open(recipe.seed, recipe.targets))
    device, token = torch.device("cpu"), CancelToken()
    with batches(maker, device, start=5, cancel=token) as ahead:
        for step in (5, 6, 7):
            made, true = next(ahead), maker.training(3 * step, 3, "cpu")
            torch.testing.assert_close(made.image, true.image, atol=1e-4, rtol=1e-4)
            torch.testing.assert_close(made.targets, true.targets, atol=1e-4, rtol=1e-4)
        token.cancel()
        with pytest.raises(Cancelled):
            next(ahead)
    seen = []
    with pytest.raises(ChildProcessError, match="fewer workers"):
        kill_and_go_on(maker, seen)
    torch.testing.assert_close(seen[0].image, maker.training(1, 1, "cpu").image)


def test_curves_for_tensorboard(tmp_path):
    path = tmp_path / "w.safetensors"
    cut(TINY, path, 4, source=Waves(), tensorboard=True)
    train(TINY, path, device="cpu", source=Waves(), tensorboard=True)
    events = EventAccumulator(str(tmp_path / "w.tensorboard")).Reload()
    rows = list(csv.DictReader((tmp_path / "w.csv").open()))
    curve = events.Scalars("validation_loss")
    assert [point.step for point in curve] == [3, 6]
    assert [point.value for point in curve] == pytest.approx(
        [float(row["validation_loss"]) for row in rows]
    )


@pytest.mark.slow
def test_two_processes_train_as_one_with_the_whole_batch(tmp_path):
    recipe = {
        **TINY,
        "batch": 4,
        "optimizer": {"rate": 1e-3, "warm_up": 0},
        "adversarial": {
            "loss": {"kind": "least_squares"},
            "arguments": {"widths": [4, 4, 8, 8]},
        },
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    alone = train(recipe, tmp_path / "alone.safetensors", device="cpu")
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = ["-m", "napari_atomseg", "train", "recipe.yaml", "-o", "two.safetensors"]
    subprocess.run(
        [sys.executable, *launch, *command, "--device", "cpu"],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        check=True,
        capture_output=True,
        timeout=240,
    )
    one, two = (
        checkpoints.safe_open(tmp_path / f"{name}.checkpoint", framework="pt")
        for name in ("alone", "two")
    )
    trained = [name for name in one.keys() if name.startswith(("network.", "judge."))]  # noqa: SIM118
    assert len(trained) > 20
    for name in trained:
        torch.testing.assert_close(
            two.get_tensor(name), one.get_tensor(name), rtol=1e-3, atol=1e-5, msg=name
        )
    # The last layer was zero.
    assert float(one.get_tensor("network.exit.weight").abs().max()) > 1e-3
    assert read_card(alone).scores.keys() == read_card(tmp_path / "two.safetensors").scores.keys()


def test_a_batch_that_processes_cannot_share_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(ValueError, match="batch=2 cannot be shared evenly by 3 processes"):
        train(TINY, tmp_path / "w.safetensors")
