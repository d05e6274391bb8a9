"""Train the shipped models in turns, for as long as a machine is free.

    python scripts/train_zoo.py                         # until Ctrl-C; again to go on
    python scripts/train_zoo.py --hours 2 --only stem-hr
    python scripts/train_zoo.py --average stem-hr       # weights as they are now, to try them
    python scripts/train_zoo.py --finish stem-hr        # weights after a short decay of the rate

Each model of the queue (scripts/zoo.yaml) has one long schedule: the rate of its recipe, constant,
and the moving average of the weights as the result. The model that lacks most of its share of the
hours has the next turn. Between turns, and whenever it is stopped, all that is needed to go on lies
in FOLDER: for each model NAME.checkpoint and NAME.csv with its losses and scores, and zoo.csv with
a row a turn. `--average` and `--finish` train a copy and leave the schedule as it is. With
`--share 0.75` these weights are three quarters of the way from the initial to the trained ones.

One core does it: OMP_NUM_THREADS=1 nice -n 19 python scripts/train_zoo.py
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import shutil
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import torch
import yaml
from pydantic import BaseModel, ConfigDict, Field

from napari_atomseg.networks.files import load_weights, save_weights
from napari_atomseg.progress import Cancelled, CancelToken
from napari_atomseg.training import TrainingRecipe, load_recipe, train
from napari_atomseg.training.data import ExampleMaker
from napari_atomseg.training.events import TrainingEvent
from napari_atomseg.training.validation import Validation

QUEUE = Path(__file__).with_name("zoo.yaml")
ENDLESS = 1_000_000
"""Steps of a schedule that nobody waits for."""
DECAY = 400
"""Steps over which the rate falls when a model is finished."""
COLUMNS = ("time", "model", "step", "seconds", "validation_loss")
"""Of zoo.csv, a row a turn."""


class Entry(BaseModel):
    """A model of the queue.

    Attributes
    ----------
    recipe : file of its training recipe, relative to the queue's folder.
    share : of the hours; relative to the others'.
    initial : weights that it starts from, relative to the queue's folder; None for none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipe: Path
    share: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    initial: Path | None = None

    def load(self, folder: Path) -> TrainingRecipe:
        """The recipe with its schedule made endless, of the same steps whenever it is stopped."""
        recipe = load_recipe(folder / self.recipe)
        optimizer = recipe.optimizer.model_copy(update={"decay": DECAY})
        start = None if self.initial is None else (folder / self.initial).resolve()
        return recipe.model_copy(
            update={"optimizer": optimizer, "steps": ENDLESS, "initial": start, "patience": None}
        )


def read_queue(path: Path) -> dict[str, tuple[Entry, TrainingRecipe]]:
    """Entries of a queue by the names of their models.

    Raises
    ------
    OSError
        A file is missing.
    ValueError
        The queue or a recipe is wrong, or two models have one name.
    """
    queue: dict[str, tuple[Entry, TrainingRecipe]] = {}
    for given in yaml.safe_load(path.read_text(encoding="utf-8")):
        entry = Entry.model_validate(given)
        recipe = entry.load(path.parent)
        if recipe.name in queue:
            raise ValueError(f"{path}: two models are called {recipe.name}")
        queue[recipe.name] = entry, recipe
    return queue


def next_turn(shares: dict[str, float], seconds: dict[str, float]) -> str:
    """The model whose seconds lag most behind its share of them all; the first of equal ones."""
    spent, whole = sum(seconds.get(name, 0.0) for name in shares), sum(shares.values())
    lag = {
        name: share / whole - (seconds.get(name, 0.0) / spent if spent else 0.0)
        for name, share in shares.items()
    }
    return max(lag, key=lambda name: lag[name])


class Deadline:
    """When to stop: after some seconds, or as soon as the process is asked to."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def over(self) -> bool:
        """Whether it is time."""
        return time.monotonic() >= self._end

    def now(self, *_: object) -> None:
        """Stop at the next step; takes what signal handlers get."""
        self._end = 0.0


class Turn:
    """Counts the steps of a turn and stops it after so many, where a validation has been made."""

    def __init__(self, steps: int, end: Deadline) -> None:
        self.cancel = CancelToken()
        self.step, self.loss = 0, float("nan")
        self._left, self._end = steps, end

    def watch(self, event: TrainingEvent) -> None:
        """See `train`."""
        self.step = event.step
        if event.entry is None:
            self._left -= 1
        else:
            self.loss = event.entry["validation_loss"]
        if self._end.over or (self._left <= 0 and event.entry is not None):
            self.cancel.cancel()


def take_turn(recipe: TrainingRecipe, folder: Path, steps: int, end: Deadline) -> Turn:
    """Train a model for at least `steps`, up to its next validation or the deadline."""
    turn = Turn(steps, end)
    output = folder / f"{recipe.name}.safetensors"
    with contextlib.suppress(Cancelled):  # The checkpoint holds all.
        train(recipe, output, cancel=turn.cancel, watch=turn.watch)
    return turn


def finished(recipe: TrainingRecipe, folder: Path, decay: int) -> Path:
    """Weights of a model from its checkpoint, after `decay` more steps of a falling rate.

    Returns
    -------
    Path of the weights, FOLDER/finished/NAME.safetensors; beside it its losses and, so that an
    interrupted decay goes on, a checkpoint.

    Raises
    ------
    OSError
        There is no checkpoint yet.
    """
    output = folder / "finished" / f"{recipe.name}.safetensors"
    output.parent.mkdir(parents=True, exist_ok=True)
    checkpoint = output.with_suffix(".checkpoint")
    shutil.copyfile(folder / f"{recipe.name}.checkpoint", checkpoint)
    done = steps_of(folder / f"{recipe.name}.csv")
    train(recipe.model_copy(update={"steps": done + decay}), output)
    checkpoint.unlink()
    return output


def blend(path: Path, recipe: TrainingRecipe, share: float) -> None:
    """Put weights `share` of the way from those that their training started from to its result.

    After a short training on new kinds of images such a mean keeps more of what the network could
    do before, and is often better at both (Wortsman et al., CVPR 2022, Eq. 1). The scores on the
    card become those of the mean.

    Raises
    ------
    ValueError
        The recipe has no initial weights.
    """
    if recipe.initial is None:
        raise ValueError(f"{recipe.name} has no initial weights to blend with")
    network, card = load_weights(path)
    start = load_weights(recipe.initial)[0].state_dict()
    trained = network.state_dict()
    network.load_state_dict({n: torch.lerp(start[n], t, share) for n, t in trained.items()})
    source = recipe.pairs.open(recipe.seed, recipe.targets)
    validation = Validation(recipe, ExampleMaker(recipe, source).validation("cpu"))
    scores, _ = validation.score(network.eval())
    save_weights(path, network, card.model_copy(update={"scores": card.scores | scores}))


def steps_of(table: Path) -> int:
    """Steps up to the last validation in a table of losses."""
    with table.open(newline="", encoding="utf-8") as file:
        return int(float(list(csv.DictReader(file))[-1]["step"]))


def spent(log: Path) -> dict[str, float]:
    """Seconds that each model has had, from the log of turns."""
    seconds: dict[str, float] = {}
    if log.exists():
        with log.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                seconds[row["model"]] = seconds.get(row["model"], 0.0) + float(row["seconds"])
    return seconds


def note(log: Path, model: str, turn: Turn, seconds: float) -> None:
    """Add a row to the log of turns."""
    new = not log.exists()
    with log.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(COLUMNS)
        now = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
        writer.writerow([now, model, turn.step, f"{seconds:.0f}", f"{turn.loss:.5g}"])


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line, and train."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--queue", type=Path, default=QUEUE)
    parser.add_argument("--folder", type=Path, default=Path("zoo"))
    parser.add_argument("--hours", type=float, default=float("inf"))
    parser.add_argument("--turn", type=int, default=500, help="steps of a turn")
    parser.add_argument("--only", nargs="+", default=[], help="models, of those in the queue")
    parser.add_argument("--average", metavar="MODEL", help="write its weights as they are")
    parser.add_argument("--finish", metavar="MODEL", help="write its weights after a decay")
    parser.add_argument("--share", type=float, default=1.0, help="of trained in written weights")
    options = parser.parse_args(arguments)
    queue = read_queue(options.queue)
    for name in [*options.only, options.average, options.finish]:
        if name is not None and name not in queue:
            parser.error(f"{name} is not in the queue; choose of {', '.join(queue)}")
    wanted = options.average or options.finish
    if wanted:
        recipe = queue[wanted][1]
        path = finished(recipe, options.folder, DECAY if options.finish else 0)
        if options.share < 1.0:
            blend(path, recipe, options.share)
        print(path)
        return
    shares = {name: queue[name][0].share for name in options.only or queue}
    options.folder.mkdir(parents=True, exist_ok=True)
    log, end = options.folder / "zoo.csv", Deadline(3600.0 * options.hours)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end.now)
    while not end.over:
        name, start = next_turn(shares, spent(log)), time.monotonic()
        turn = take_turn(queue[name][1], options.folder, options.turn, end)
        note(log, name, turn, time.monotonic() - start)
        print(f"{name}: step {turn.step}, validation loss {turn.loss:.4g}", flush=True)


if __name__ == "__main__":
    main()
