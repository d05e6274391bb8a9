"""Adversarial training: the discriminator's turn, and what it asks of the network."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from napari_atomseg import networks
from napari_atomseg.networks.tasks import RESTORATION, channels, spans
from napari_atomseg.training.recipe import AdversarialRecipe, TrainingRecipe


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
    """What a discriminator is shown, and what follows from its answers.

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
            maps[:, place] if task in RESTORATION else torch.sigmoid(maps[:, place])
            for task, place in places.items()
        ]
        return torch.cat(parts, dim=1)
