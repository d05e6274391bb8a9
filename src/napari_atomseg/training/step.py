"""One step of a training: forward, losses, backward, update."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from napari_atomseg import networks
from napari_atomseg._shared.device import half_is_fast
from napari_atomseg.networks.maps import compose
from napari_atomseg.networks.tasks import LINEAR, channels, spans
from napari_atomseg.training.checkpoint import State
from napari_atomseg.training.data import Examples
from napari_atomseg.training.engine import Engine
from napari_atomseg.training.losses import multi_task_loss
from napari_atomseg.training.recipe import AdversarialRecipe, OptimizerRecipe, TrainingRecipe


def new_judge(recipe: TrainingRecipe, species: Sequence[str]) -> nn.Module | None:
    """The discriminator of a recipe, untrained."""
    adversarial = recipe.adversarial
    if adversarial is None:
        return None
    judged = channels(recipe.tasks, species) + adversarial.conditional
    return networks.create(
        adversarial.discriminator, **{**adversarial.arguments, "channels_in": judged}
    )


def new_judge_optimizer(judge: nn.Module, recipe: AdversarialRecipe) -> torch.optim.Optimizer:
    """The optimizer of a discriminator."""
    settings = recipe.optimizer
    return torch.optim.AdamW(judge.parameters(), settings.rate, weight_decay=settings.weight_decay)


class Adversary:
    """The discriminator's inputs, and the losses of its answers.

    Parameters
    ----------
    recipe : with `adversarial`.
    judge : the discriminator.
    called : the same as it must be called in its own turn (see `Engine.prepare`).
    """

    def __init__(self, recipe: TrainingRecipe, judge: nn.Module, called: nn.Module) -> None:
        if recipe.adversarial is None:
            raise ValueError("the recipe has no adversarial part")
        self._adversarial, self._tasks = recipe.adversarial, recipe.tasks
        self._judge, self._called = judge, called

    def deceived(self, maps: Tensor, targets: Tensor, image: Tensor) -> Tensor:
        """The network's loss, weighted; the discriminator gets no gradient.

        Parameters
        ----------
        maps, targets : (B, C, H, W) composed output and truth of all tasks.
        image : (B, 1, H, W) normalised input.
        """
        self._judge.requires_grad_(False)
        real = self._judge(self._shown(targets, image))
        fake = self._judge(self._shown(self._finished(maps), image))
        self._judge.requires_grad_(True)
        loss = self._adversarial.loss
        return loss.weight * loss.generator(real, fake)

    def judged(self, maps: Tensor, targets: Tensor, image: Tensor) -> Tensor:
        """The discriminator's loss; the network gets no gradient."""
        fake = self._finished(maps.detach())
        shown = torch.cat([self._shown(targets, image), self._shown(fake, image)])
        real, made = self._called(shown).float().chunk(2)
        return self._adversarial.loss.discriminator(real, made)

    def _shown(self, maps: Tensor, image: Tensor) -> Tensor:
        return torch.cat([image, maps], dim=1) if self._adversarial.conditional else maps

    def _finished(self, maps: Tensor) -> Tensor:
        """Composed channels as maps: logits to probabilities."""
        places = spans(self._tasks, maps.shape[1])
        parts = [
            maps[:, place] if task in LINEAR else torch.sigmoid(maps[:, place])
            for task, place in places.items()
        ]
        return torch.cat(parts, dim=1)


PATIENCE = 10
"""Steps in a row whose numbers are not finite, after which the training gives up."""


class Diverged(ValueError):
    """The loss or the gradient of a training is no longer finite."""


class Stepper:
    """Takes the steps of a training.

    Parameters
    ----------
    state : is changed by the steps.
    recipe : the training.
    engine : the processes that train together.
    """

    def __init__(self, state: State, recipe: TrainingRecipe, engine: Engine) -> None:
        self.state, self.recipe, self.engine = state, recipe, engine
        self._network = engine.prepare(state.network, state.optimizer)
        self._half = recipe.half and half_is_fast(engine.device)
        self._adversary: Adversary | None = None
        if state.judge is not None and state.judge_optimizer is not None:
            called = engine.prepare(state.judge, state.judge_optimizer)
            self._adversary = Adversary(recipe, state.judge, called)

    def step(self, batch: Examples) -> float:
        """One update of the network, and of the discriminator where it takes part.

        Where the loss or its gradient is not finite, nothing is updated.

        Returns
        -------
        The loss of the batch.

        Raises
        ------
        Diverged
            It was not finite `PATIENCE` times in a row.
        """
        state, recipe = self.state, self.recipe
        rate = rate_at(recipe.optimizer, state.step, recipe.steps)
        for group in state.optimizer.param_groups:
            group["lr"] = rate
        with self._autocast():
            output = self._network(batch.image.contiguous(memory_format=torch.channels_last))
        maps = compose(output.float(), batch.image, recipe.tasks)
        loss, _ = multi_task_loss(maps, batch.targets, batch.image, recipe.losses, batch.weight)
        adversary = self._joined()
        if adversary is not None:
            with self._autocast():
                loss = loss + adversary.deceived(maps, batch.targets, batch.image)
        value = self.engine.mean(loss.detach())
        if not self._update(state.network, state.optimizer, loss, recipe.optimizer.clip, value):
            self._skip(value)
            return value
        state.skipped = 0
        _average(state, recipe.optimizer.average)
        if adversary is not None:
            self._judge(adversary, maps, batch, rate / recipe.optimizer.rate)
        return value

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.engine.device.type, torch.bfloat16, enabled=self._half)

    def _joined(self) -> Adversary | None:
        """The adversary, from the step on at which it joins."""
        adversarial = self.recipe.adversarial
        if adversarial is None or self.state.step < adversarial.start:
            return None
        return self._adversary

    def _judge(self, adversary: Adversary, maps: Tensor, batch: Examples, decay: float) -> None:
        """The discriminator's turn; a loss that is not finite leaves it as it is."""
        judge, optimizer = self.state.judge, self.state.judge_optimizer
        adversarial = self.recipe.adversarial
        if judge is None or optimizer is None or adversarial is None:
            return
        for group in optimizer.param_groups:
            group["lr"] = adversarial.optimizer.rate * decay
        with self._autocast():
            loss = adversary.judged(maps, batch.targets, batch.image)
        value = self.engine.mean(loss.detach())
        self._update(judge, optimizer, loss, adversarial.optimizer.clip, value)

    def _update(
        self,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        loss: Tensor,
        clip: float,
        value: float,
    ) -> bool:
        """Follow the gradient of the loss, if both are finite."""
        optimizer.zero_grad(set_to_none=True)
        self.engine.backward(loss)
        norm = torch.nn.utils.clip_grad_norm_(network.parameters(), clip)
        if not (math.isfinite(value) and math.isfinite(float(norm))):
            return False
        optimizer.step()
        return True

    def _skip(self, value: float) -> None:
        """Count a step without an update, and undo what batch normalisation took from it."""
        state = self.state
        _copy_buffers(state.average, state.network)
        state.skipped += 1
        if state.skipped >= PATIENCE:
            raise Diverged(
                f"the loss or its gradient was not finite in {state.skipped} steps in a row, up "
                f"to step {state.step + 1} (loss {value}): lower the optimizer's rate, or look for "
                "values in the images or the truth that are not finite"
            )


def rate_at(recipe: OptimizerRecipe, step: int, steps: int) -> float:
    """Learning rate of a step."""
    if step < recipe.warm_up:
        return recipe.rate * (step + 1) / recipe.warm_up
    falling = steps - recipe.warm_up
    if recipe.decay is not None:
        falling = min(falling, recipe.decay)
    fraction = (step - (steps - falling)) / max(1, falling)
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, max(0.0, fraction))))
    return recipe.final_rate + (recipe.rate - recipe.final_rate) * cosine


@torch.no_grad()
def _average(state: State, decay: float) -> None:
    """Moving average of the weights, quicker at the start so that it forgets the first guess."""
    decay = min(decay, (1 + state.step) / (10 + state.step))
    mean: list[Tensor] = list(state.average.parameters())
    torch._foreach_lerp_(mean, list(state.network.parameters()), 1.0 - decay)
    _copy_buffers(state.network, state.average)


@torch.no_grad()
def _copy_buffers(origin: nn.Module, to: nn.Module) -> None:
    """Moments of batch normalisation, which are moving averages already."""
    for old, new in zip(to.buffers(), origin.buffers(), strict=True):
        old.copy_(new)
