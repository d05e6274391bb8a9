"""Training recipes: everything that determines a weights file."""

from __future__ import annotations

from math import inf
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from napari_atomseg import networks
from napari_atomseg._shared.plain_yaml import read_yaml_file
from napari_atomseg.networks.tasks import LINE_SHIFTS, TARGETS, TASKS
from napari_atomseg.ranges import FOLDER, Part, RecipePath, faults
from napari_atomseg.settings import setting
from napari_atomseg.simulation import SimulationRecipe
from napari_atomseg.training.losses import AnyAdversarial, Losses, fits, usual_losses
from napari_atomseg.training.losses.adversarial import Relativistic
from napari_atomseg.training.sources import (
    AnySimulation,
    AnySource,
    Augmentation,
    BlindSpot,
    Crops,
    ScanLines,
    Simulated,
    SourceMixture,
    parts_of,
)
from napari_atomseg.training.sources.augmentation import MIXED

BATCHES, LOSSES, OPTIMIZATION = "Batches and validation", "Losses", "Optimization"
"""Sections of a form."""
LARGEST = 2**31 - 1

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(gt=0)]


def _known(task: str) -> str:
    if task not in TARGETS:
        raise ValueError(f"{task!r} is not a task; choose of {', '.join(TARGETS)}")
    return task


Task = Annotated[str, AfterValidator(_known)]
"""Name of a task, see `networks.tasks`."""


def _distinct(tasks: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(tasks)) < len(tasks):
        raise ValueError(f"tasks {', '.join(tasks)} must be different")
    return tasks


class NetworkRecipe(Part):
    """Architecture and its arguments; the channels and the last layer follow from the tasks."""

    name: str = "unet"
    arguments: dict[str, Any] = Field(default_factory=dict)

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in networks.names():
            raise ValueError(f"{name!r} is not known; choose one of {', '.join(networks.names())}")
        return name

    @field_validator("arguments")
    @classmethod
    def _not_the_tasks(cls, arguments: dict[str, Any]) -> dict[str, Any]:
        taken = {"channels_in", "channels_out", "activation", "residual"} & arguments.keys()
        if taken:
            raise ValueError(f"{', '.join(sorted(taken))} follow from the tasks; leave them out")
        return arguments


class OptimizerRecipe(Part):
    """AdamW with a linear warm-up and a decay to `final_rate` along half a cosine.

    `decay` is the number of steps before the end over which the rate falls; it is constant before
    them, so that a training whose `steps` are raised goes on as if it had been longer from the
    beginning. None lets it fall from the warm-up on. `clip` is the largest norm of the gradient,
    `average` the decay a step of the moving average of the weights, which is what a training gives.
    """

    rate: Positive = setting(
        1e-3,
        "Learning rate",
        "Highest learning rate, after the warm-up.",
        limits=(0.0, inf),
        logarithmic=True,
        section=OPTIMIZATION,
    )
    final_rate: Positive = setting(
        1e-5,
        "Final rate",
        "Learning rate of the last step.",
        limits=(0.0, inf),
        logarithmic=True,
        section=OPTIMIZATION,
    )
    decay: int | None = setting(
        None,
        "Rate falls over",
        "Last steps in which the learning rate falls; it is constant before them.",
        unit="steps",
        limits=(0, LARGEST),
        none="all after the warm-up",
        section=OPTIMIZATION,
    )
    warm_up: int = setting(
        200,
        "Warm-up",
        "First steps in which the learning rate rises.",
        unit="steps",
        limits=(0, LARGEST),
        section=OPTIMIZATION,
    )
    weight_decay: float = setting(
        1e-4,
        "Weight decay",
        "Weight decay of AdamW.",
        limits=(0.0, inf),
        logarithmic=True,
        section=OPTIMIZATION,
    )
    clip: Positive = setting(
        1.0,
        "Gradient clip",
        "Largest norm of the gradient.",
        limits=(0.0, inf),
        logarithmic=True,
        section=OPTIMIZATION,
    )
    average: Annotated[float, Field(lt=1)] = setting(
        0.998,
        "Weight average",
        "Decay a step of the moving average of the weights, which the trained model is.",
        limits=(0.0, 1.0),
        section=OPTIMIZATION,
    )


class DiscriminatorOptimizer(Part):
    """AdamW of the discriminator; warm-up and decay are those of the network's optimizer."""

    rate: float = Field(1e-4, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    clip: float = Field(1.0, gt=0)


class AdversarialRecipe(Part):
    """A discriminator that learns to distinguish the maps of the network from true ones.

    The network learns to deceive it. It judges the maps of all tasks together, beside the image
    where `conditional`, and joins the training after `start` steps.
    """

    loss: AnyAdversarial = Relativistic()
    discriminator: Literal["patch_discriminator", "apgan_discriminator"] = setting(
        "patch_discriminator",
        "Discriminator",
        "Network that judges the maps.",
        choices={
            "patch_discriminator": "70 × 70 patches (r_em)",
            "apgan_discriminator": "AP-GAN",
        },
        section=LOSSES,
    )
    arguments: dict[str, Any] = Field(default_factory=dict)
    conditional: bool = setting(
        True,
        "Conditional",
        "Show the discriminator the image beside its maps.",
        section=LOSSES,
    )
    start: int = setting(
        0,
        "Starts after",
        "Steps after which the discriminator joins the training.",
        unit="steps",
        limits=(0, LARGEST),
        section=LOSSES,
    )
    optimizer: DiscriminatorOptimizer = DiscriminatorOptimizer()


class TrainingRecipe(Part):
    """A training run.

    `steps` of `batch` crops of `crop`² pixels are taken from the source; every `validate_every`
    steps, up to `validation` fixed images that training never sees are scored and a checkpoint is
    written. `half` trains in bfloat16 where the processor computes faster so.

    Attributes
    ----------
    tasks : maps that the network learns to make, in the order of its channels.
    source : where images and truth come from; None simulates them by `simulation`.
    simulation : name or file of a simulation recipe, or the recipe itself, which may extend
        another.
    augmentation : random changes of the images and their truth, for validation always the same
        ones; none by default.
    losses : a list of losses for a task, or one number, the weight of the usual one; tasks that are
        not named have their usual losses.
    adversarial : a discriminator against which the network is trained, too.
    initial : weights file from which the training starts (fine-tuning); its SHA-256 is checked
        where `initial_sha256` is given, and recorded.
    patience : validations without a lower loss after which the training stops; the weights are
        then those of the lowest loss.
    workers : processes that prepare images on the CPU ahead of the steps; without any, they are
        prepared between the steps, on the device that trains.
    """

    name: str = setting("model", "Name", "Name of the model, under which panels offer it.")
    description: str = ""
    modality: str = "STEM"
    tasks: Annotated[tuple[Task, ...], Field(min_length=1), AfterValidator(_distinct)] = setting(
        TASKS, "Tasks", "Maps that the network learns to make."
    )
    steps: Count = setting(
        10_000,
        "Steps",
        "Length of the training; each learns from one batch.",
        limits=(1, LARGEST),
    )
    batch: Count = setting(
        16, "Batch", "Images in a step.", unit="images", limits=(1, 65536), section=BATCHES
    )
    crop: int = setting(
        128, "Crop", "Side of the images in a step.", unit="px", limits=(32, 8192), section=BATCHES
    )
    validate_every: Count = setting(
        500,
        "Validate every",
        "Steps from one validation to the next; each writes a checkpoint.",
        unit="steps",
        limits=(1, LARGEST),
        section=BATCHES,
    )
    validation: Count = setting(
        48,
        "Validate on",
        "Fixed images that are never learnt from.",
        unit="images",
        limits=(1, 65536),
        section=BATCHES,
    )
    patience: Count | None = setting(
        None,
        "Patience",
        "Validations without a lower loss after which the training stops.",
        limits=(1, LARGEST),
        none="never stop early",
        section=BATCHES,
    )
    workers: int = setting(
        0,
        "Processes",
        "Processes that prepare images on the CPU ahead of the steps.",
        limits=(0, 1024),
        section=BATCHES,
    )
    seed: int = setting(
        0, "Seed", "Seed of the images and of new weights.", limits=(0, LARGEST), section=BATCHES
    )
    half: bool = setting(
        True,
        "Half precision",
        "Compute in bfloat16 where the processor is faster with it.",
        section=OPTIMIZATION,
    )
    network: NetworkRecipe = NetworkRecipe()
    optimizer: OptimizerRecipe = OptimizerRecipe()
    losses: dict[Task, Losses] = Field(default_factory=dict, validate_default=True)
    adversarial: AdversarialRecipe | None = None
    simulation: AnySimulation = SimulationRecipe()
    source: AnySource | None = None
    augmentation: Augmentation | None = None
    initial: RecipePath | None = None
    initial_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None

    @field_validator("losses", mode="before")
    @classmethod
    def _with_usual(cls, given: Any, info: ValidationInfo) -> Any:
        """Losses of all tasks, in their order."""
        tasks = info.data.get("tasks")
        if tasks is None or not isinstance(given, dict):
            return given
        strange = [str(task) for task in given if task not in tasks and task not in TARGETS]
        if strange:
            raise ValueError(f"{strange[0]!r} is not a task; the tasks are {', '.join(tasks)}")
        losses = {}
        for task in tasks:
            some = given.get(task)
            usual = some is None or isinstance(some, int | float)
            losses[task] = usual_losses(task, some) if usual else some
        return losses

    @field_validator("losses")
    @classmethod
    def _of_intensities_or_probabilities(cls, losses: dict[str, Losses]) -> dict[str, Losses]:
        for task, some in losses.items():
            for loss in some:
                if not fits(loss.kind, task):
                    raise ValueError(f"loss {loss.kind!r} does not fit the task {task}")
        return losses

    @model_validator(mode="after")
    def _parts_fit(self) -> TrainingRecipe:
        parts = list(parts_of(self.pairs))
        interpolates = self.augmentation is not None and self.augmentation.interpolates
        if interpolates and any(isinstance(part, BlindSpot) for part in parts):
            raise ValueError(MIXED)
        if LINE_SHIFTS in self.tasks and (
            self.augmentation is not None
            or any(isinstance(part, Crops) and _moved(part.of) for part in parts)
        ):
            raise ValueError(
                f"{LINE_SHIFTS}: an augmentation, or crops of moved lines, would change images and "
                "not the displacement of their lines; put crops below the source scan_lines"
            )
        partial = any(isinstance(part, SourceMixture) and part.partial for part in parts)
        if partial and self.adversarial is not None:
            raise ValueError(
                "adversarial: a discriminator judges the truth of all tasks, which a partial "
                "mixture lacks for some images; leave one of the two out"
            )
        return self

    @property
    def pairs(self) -> AnySource:
        """The source of images and truth."""
        return Simulated(recipe=self.simulation) if self.source is None else self.source

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the source's targets that the tasks are trained on."""
        return tuple(TARGETS[task] for task in self.tasks)


def _moved(source: AnySource) -> bool:
    """Whether a source has images whose truth is the displacement of their lines."""
    return any(isinstance(part, ScanLines) for part in parts_of(source))


def load_recipe(recipe: str | Path | dict[str, Any] | TrainingRecipe) -> TrainingRecipe:
    """A recipe from a YAML file, a dictionary, or a recipe.

    Paths in a file are relative to its folder, and become absolute.

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        A value is out of range or a name unknown; the message names it.
    """
    if isinstance(recipe, TrainingRecipe):
        return recipe
    where, context = "recipe", {}
    if not isinstance(recipe, dict):
        where, context = str(recipe), {FOLDER: Path(recipe).resolve().parent}
        recipe = read_yaml_file(Path(recipe))
    try:
        return TrainingRecipe.model_validate(recipe, context=context)
    except ValidationError as error:
        raise ValueError(f"{where}: {faults(error)}") from error
