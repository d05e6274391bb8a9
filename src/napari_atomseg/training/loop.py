"""The training loop: recipe in, weights out."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from napari_atomseg import networks
from napari_atomseg._shared.files import remove_partial
from napari_atomseg.networks.files import save_weights
from napari_atomseg.progress import Cancelled, CancelToken, Progress, report
from napari_atomseg.training.cards import model_card, network_arguments
from napari_atomseg.training.checkpoint import State, load_checkpoint, save_checkpoint
from napari_atomseg.training.data import ExampleMaker, Examples, batches
from napari_atomseg.training.engine import Engine, start_engine
from napari_atomseg.training.events import Preview, TensorBoardCurves, TrainingEvent, write_log
from napari_atomseg.training.initial import outputs_of, start_from, with_hash
from napari_atomseg.training.outputs import Outputs
from napari_atomseg.training.recipe import TrainingRecipe, load_recipe
from napari_atomseg.training.sources import PairSource
from napari_atomseg.training.step import Diverged, Stepper, new_judge, new_judge_optimizer
from napari_atomseg.training.validation import Validation


def new_state(recipe: TrainingRecipe, species: Sequence[str], device: torch.device) -> State:
    """The networks and their optimizers, new or with the weights that the recipe starts from.

    Raises
    ------
    WeightsError
        Those weights cannot be used.
    ValueError
        The network's arguments are wrong.
    """
    torch.manual_seed(recipe.seed)
    arguments = network_arguments(recipe, species)
    network = networks.create(recipe.network.name, **arguments)
    if recipe.initial is not None:
        outputs = outputs_of(recipe.tasks, species, arguments["channels_out"])
        start_from(recipe.initial, network, recipe, outputs)
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(
        network.parameters(), recipe.optimizer.rate, weight_decay=recipe.optimizer.weight_decay
    )
    average = copy.deepcopy(network).eval().requires_grad_(False)
    state = State(network, average, optimizer)
    judge = new_judge(recipe, species)
    if judge is not None and recipe.adversarial is not None:
        state.judge = judge.to(device)
        state.judge_optimizer = new_judge_optimizer(state.judge, recipe.adversarial)
    return state


Watch = Callable[[TrainingEvent], None]


def train(
    recipe: str | Path | dict[str, Any] | TrainingRecipe,
    output: str | Path | None = None,
    *,
    resume: bool = True,
    device: str = "auto",
    source: PairSource | None = None,
    tensorboard: bool = False,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
    watch: Watch | None = None,
) -> Path:
    """Train a network.

    Under torchrun, several processes train it together (see `engine`).

    Parameters
    ----------
    recipe : YAML file, dictionary or recipe.
    output : weights file to write (default: the recipe's name in the current folder). Beside it
        lie a checkpoint, from which an interrupted run goes on, and the losses as CSV.
    resume : go on from the checkpoint where there is one.
    device : "auto", "cpu", "cuda" or "mps".
    source : images and truth that lie in memory, instead of the recipe's source.
    tensorboard : write curves for TensorBoard, too, into a folder beside the weights.
    cancel : stops the run between two steps; a `PauseToken` can make it wait there.
    watch : is called with a `TrainingEvent` after each step and each validation, in the thread
        that trains.

    Returns
    -------
    Path of the weights, the moving average over the last steps.

    Raises
    ------
    ValueError
        The recipe is wrong, the source cannot give what it asks for, the checkpoint belongs to
        another recipe, or a file would be written over one that is read or of another kind.
    OSError
        A file cannot be read or written, or another process trains into it; the last checkpoint is
        intact.
    Diverged
        The loss is no longer finite; the last checkpoint is intact.
    ImportError
        TensorBoard or Lightning Fabric is asked for and not installed.
    Cancelled
        `cancel` was raised; a checkpoint stays and no weights are written.
    """
    file = Path(recipe) if isinstance(recipe, (str, Path)) else None
    recipe = with_hash(load_recipe(recipe))
    outputs = Outputs(Path(output or f"{recipe.name}.safetensors"))
    outputs.check(recipe, file)
    engine = start_engine(device, recipe.batch)
    if source is None:
        source = recipe.pairs.open(recipe.seed, recipe.targets)
    lacking = [name for name in recipe.targets if name not in source.targets]
    if lacking:
        raise ValueError(f"the source gives no {', '.join(lacking)}, which the tasks need")
    run = _Run(recipe, source, outputs, engine, progress, cancel, watch)
    with outputs.alone() if engine.rank == 0 else nullcontext():
        run.begin(resume)
        if tensorboard and engine.rank == 0:
            folder = outputs.weights.with_suffix(".tensorboard")
            run.curves = TensorBoardCurves(folder, run.state.step)
        try:
            run.go()
        finally:
            if run.curves is not None:
                run.curves.close()
    return outputs.weights


class _Run:
    """One training, from its recipe to its weights."""

    def __init__(
        self,
        recipe: TrainingRecipe,
        source: PairSource,
        outputs: Outputs,
        engine: Engine,
        progress: Progress | None,
        cancel: CancelToken | None,
        watch: Watch | None,
    ) -> None:
        self.recipe, self.source, self.outputs, self.engine = recipe, source, outputs, engine
        self.cancel = cancel
        # Only one process reports.
        self.progress, self.watch = (progress, watch) if engine.rank == 0 else (None, None)
        self.settings = recipe.model_dump(mode="json")
        self.curves: TensorBoardCurves | None = None
        self.maker = ExampleMaker(recipe, source)
        self.state = new_state(recipe, source.species, engine.device)
        self.loss = math.nan
        self.seconds, self.taken = 0.0, 0

    def begin(self, resume: bool) -> None:
        """Go on from the checkpoint, where there is one, and make the validation images."""
        if self.engine.rank == 0:
            for path in self.outputs:
                remove_partial(path)
        if resume and self.outputs.checkpoint.exists():
            load_checkpoint(self.outputs.checkpoint, self.state, self.settings)
            if self.state.log and self.engine.rank == 0:
                # The run before may have ended between the checkpoint and the table.
                write_log(self.outputs.losses, self.state.log)
        self.engine.wait()
        self.validation = Validation(self.recipe, self.maker.validation(str(self.engine.device)))

    def go(self) -> None:
        """Train to the end and write the weights."""
        stepper = Stepper(self.state, self.recipe, self.engine)
        share = (self.engine.rank, self.engine.size)
        with batches(
            self.maker,
            self.engine.device,
            start=self.state.step,
            share=share,
            cancel=self.cancel,
        ) as prepared:
            while not self._finished():
                try:
                    self._step(stepper, prepared)
                except Cancelled:
                    self._save()
                    raise
                if self._due():
                    self._validate()
        if not self.state.log:
            self._validate()
        self._finish()

    def _step(self, stepper: Stepper, prepared: Iterator[Examples]) -> None:
        state, steps = self.state, self.recipe.steps
        report(None, self.cancel, state.step, steps)
        start = time.monotonic()
        self.loss = stepper.step(next(prepared))
        state.step += 1
        self.seconds, self.taken = self.seconds + time.monotonic() - start, self.taken + 1
        skipped = f", skipped {state.skipped} in a row" if state.skipped else ""
        report(self.progress, None, state.step, steps, f"loss {self.loss:.4f}{skipped}")
        self._notify()

    def _due(self) -> bool:
        state, recipe = self.state, self.recipe
        return state.step % recipe.validate_every == 0 or state.step == recipe.steps

    def _validate(self) -> None:
        state = self.state
        start = time.monotonic()
        scores, preview = self.validation.score(state.average)
        if not math.isfinite(scores["validation_loss"]):
            raise Diverged(
                f"the validation loss at step {state.step} is not finite; the checkpoint "
                f"{self.outputs.checkpoint} is of an earlier step"
            )
        entry = {"step": float(state.step), "loss": self.loss, **scores}
        state.log.append(entry)
        if self.recipe.patience and _best(state.log) is entry:
            state.best = {n: t.clone() for n, t in state.average.state_dict().items()}
        self._save()
        if self.engine.rank == 0:
            write_log(self.outputs.losses, state.log)
        if self.curves is not None:
            self.curves.add(entry)
        self.seconds += time.monotonic() - start
        message = ", ".join(f"{key} {value:.4g}" for key, value in entry.items())
        report(self.progress, None, state.step, self.recipe.steps, message)
        self._notify(entry, preview)

    def _notify(
        self, entry: dict[str, float] | None = None, preview: Preview | None = None
    ) -> None:
        if self.watch is not None:
            state, steps = self.state, self.recipe.steps
            left = self.seconds / self.taken * (steps - state.step) if self.taken else math.nan
            self.watch(TrainingEvent(state.step, steps, self.loss, left, entry, preview))

    def _save(self) -> None:
        if self.engine.rank == 0:
            save_checkpoint(self.outputs.checkpoint, self.state, self.settings)

    def _finished(self) -> bool:
        """Whether the steps are done, or the loss has not fallen for too long."""
        log, patience = self.state.log, self.recipe.patience
        if self.state.step >= self.recipe.steps:
            return True
        return bool(patience and log and len(log) - 1 - log.index(_best(log)) >= patience)

    def _finish(self) -> None:
        state = self.state
        entry = _best(state.log) if state.best else state.log[-1]
        if state.best:
            state.average.load_state_dict(state.best)
        if self.engine.rank == 0:
            species, steps = self.source.species, int(entry["step"])
            card = model_card(self.recipe, species, self.validation, steps, entry)
            save_weights(self.outputs.weights, state.average, card)
        self.engine.wait()


def _best(log: list[dict[str, float]]) -> dict[str, float]:
    return min(log, key=lambda entry: entry["validation_loss"])
