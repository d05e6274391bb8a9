"""The settings of the Train panel."""

from __future__ import annotations

from dataclasses import dataclass

from napari_atomseg._napari.preferences import preferences
from napari_atomseg._napari.train.loss_list import Lines
from napari_atomseg._napari.train.pairs import Pair
from napari_atomseg.simulation.arguments import argument

BATCHES, AUGMENTATION = "Batches and validation", "Augmentation"
LOSSES, OPTIMIZER, ADVANCED = "Losses", "Optimization", "Advanced"
TASKS = ("denoise", "denoise_background", "superresolution", "column_map", "column_mask")
SIMULATED, LIBRARY, FOLDER, ANNOTATED, BLIND_SPOT, OPENED = (
    "simulated",
    "library",
    "folder",
    "annotated",
    "blind_spot",
    "",
)
"""Where images and truth come from; the last one is what an opened recipe says."""
USUAL, APGAN, OWN = "usual", "apgan", "own"
"""What the network is trained for: the tasks' usual losses, those of AP-GAN, or the user's own."""
_AS_PREFERRED = "preferences"
_LARGEST = 2**31 - 1


@dataclass(frozen=True)
class TrainSettings:
    """A name, a source of images with their truth, a network, and how long it is trained."""

    name: str = argument("my-model", "Name", "Of the model, under which panels will offer it.")
    source: str = argument(
        SIMULATED,
        "Learn from",
        "Simulated images; a library on disk; layers of this viewer and what is known about them;\n"
        "a folder of images; or images alone, that are denoised without any truth (Noise2Void).",
        choices={
            SIMULATED: "simulated images",
            LIBRARY: "a library",
            ANNOTATED: "layers with truth",
            FOLDER: "a folder of images",
            BLIND_SPOT: "layers without truth",
            OPENED: "as in the opened recipe",
        },
    )
    recipe: str = argument("columns", "Recipe", "What is simulated: a recipe, or a YAML file.")
    folder: str = argument("", "Folder", "Of the library, or of the images.")
    pairs: tuple[Pair, ...] = argument((), "Images", "The layers to learn from.")
    species: str = argument(
        "", "Species", "Feature of the points that names their species; empty: a layer a species."
    )
    share: float = argument(
        0.0,
        "Simulated",
        "How many of the images are simulated by the recipe, beside the others.",
        unit="%",
        accepted=(0.0, 95.0),
    )
    tasks: tuple[str, ...] = argument(TASKS, "Tasks", "What the network shall learn.")
    elements: str = argument(
        "", "Elements", "Names of the species that get a map each, as Ti, Pb; empty: all of them."
    )
    network: str = argument("unet", "Network", "The architecture.")
    initial: str = argument(
        "", "Start from", "Random weights, or a model that shall learn more (fine-tuning)."
    )
    steps: int = argument(
        3000, "Steps", "How long; each step learns from one batch.", accepted=(1, _LARGEST)
    )
    resume: bool = argument(
        True, "Resume", "Go on with a training of this name that was stopped, if there is one."
    )
    device: str = argument(
        _AS_PREFERRED,
        "Device",
        "Where to compute.",
        choices={
            _AS_PREFERRED: "as in Preferences",
            "auto": "automatic",
            "cpu": "CPU",
            "cuda": "GPU (CUDA)",
            "mps": "GPU (Apple)",
        },
    )
    batch: int = argument(16, "Batch", "Images a step.", BATCHES, accepted=(1, 4096))
    crop: int = argument(
        128, "Crop", "Side of the images that are learned from.", BATCHES, "px", (32, 4096)
    )
    validate_every: int = argument(
        250, "Validate", "After so many steps each.", BATCHES, "steps", (1, _LARGEST)
    )
    validation: int = argument(
        32, "Validate on", "So many images that are not learned from.", BATCHES, accepted=(1, 65536)
    )
    patience: int | None = argument(
        None,
        "Patience",
        "After how many validations without a lower loss the training stops.",
        BATCHES,
        accepted=(0, 10_000),
        nothing="never stop early",
    )
    workers: int = argument(
        0, "Processes", "That prepare images ahead of the training.", BATCHES, accepted=(0, 256)
    )
    seed: int = argument(0, "Seed", "Another seed draws others.", BATCHES, accepted=(0, _LARGEST))
    flips: bool = argument(
        False, "Flips, turns", "Mirror images, and turn them by right angles.", AUGMENTATION
    )
    rotation: float = argument(
        0.0,
        "Rotation",
        "Turn images by up to this angle, either way.",
        AUGMENTATION,
        "°",
        (0.0, 180.0),
    )
    magnification: float = argument(
        1.0,
        "Scale",
        "Make images larger or smaller, by up to this factor.",
        AUGMENTATION,
        accepted=(1.0, 4.0),
    )
    gain: float = argument(
        1.0,
        "Gain",
        "Multiply or divide intensities by up to this factor.",
        AUGMENTATION,
        accepted=(1.0, 100.0),
    )
    gamma: float = argument(
        1.0,
        "Gamma",
        "Raise intensities to a power of up to this, or of up to its inverse.",
        AUGMENTATION,
        accepted=(1.0, 4.0),
    )
    noise: float = argument(
        0.0,
        "Noise",
        "Add noise of up to this share of the image's own deviation.",
        AUGMENTATION,
        accepted=(0.0, 10.0),
    )
    kept: tuple[float, float] = argument(
        (1.0, 1.0),
        "Pixels kept",
        "Lowest and highest share of the pixels that are not set to zero (AP-GAN: 0.3, 0.7).",
        AUGMENTATION,
        accepted=(0.01, 1.0),
    )
    objective: str = argument(
        USUAL,
        "Losses",
        "The usual losses of the tasks; SSIM and PSNR against a discriminator (AP-GAN), which\n"
        "suits small sets of annotated images; or what is chosen below.",
        LOSSES,
        choices={USUAL: "usual", APGAN: "AP-GAN", OWN: "my own, as below"},
    )
    losses: Lines = argument(  # noqa: RUF009, a field like the others
        (), "", "Tasks that have no loss here have their usual one.", LOSSES
    )
    adversary: str = argument(
        "",
        "Adversarial",
        "A discriminator learns to tell the network's maps from true ones, and the network to\n"
        "deceive it.",
        LOSSES,
        choices={
            "": "none",
            "relativistic": "relativistic average (r_em)",
            "least_squares": "least squares (AP-GAN)",
        },
    )
    adversary_weight: float | None = argument(
        None,
        "Weight",
        "Of the adversarial loss, beside the others.",
        LOSSES,
        accepted=(0.0, 1e6),
        nothing="usual",
    )
    judge: str = argument(
        "patch_discriminator",
        "Judged by",
        "The discriminator.",
        LOSSES,
        choices={
            "patch_discriminator": "70 × 70 patches (r_em)",
            "apgan_discriminator": "AP-GAN",
        },
    )
    adversary_start: int = argument(
        0, "From step", "From which the discriminator takes part.", LOSSES, accepted=(0, _LARGEST)
    )
    rate: float = argument(
        1e-3,
        "Rate",
        "How far a step goes, after the warm-up.",
        OPTIMIZER,
        accepted=(1e-6, 1.0),
        logarithmic=True,
    )
    warm_up: int = argument(
        200, "Warm-up", "Steps in which the rate rises.", OPTIMIZER, "steps", (0, _LARGEST)
    )
    weight_decay: float = argument(
        1e-4, "Decay", "How much weights shrink (AdamW).", OPTIMIZER, accepted=(0.0, 10.0)
    )
    clip: float = argument(
        1.0, "Clip", "The largest norm of the gradient.", OPTIMIZER, accepted=(1e-6, 1e6)
    )
    average: float = argument(
        0.998,
        "Average",
        "Decay a step of the moving average of the weights, which the model is.",
        OPTIMIZER,
        accepted=(0.0, 0.999999),
    )
    half: bool = argument(
        True, "Half", "Half precision, where the processor computes faster so.", OPTIMIZER
    )
    arguments: str = argument(
        "",
        "Network",
        "Arguments of the network that differ from its own, as widths: [16, 32, 64].",
        ADVANCED,
    )
    radius: float | None = argument(
        None,
        "Disc radius",
        "Of the discs about annotated columns.",
        ADVANCED,
        "px",
        (0.0, 1e4),
        nothing="0.3 of their distance",
    )
    split: float = argument(
        75.0,
        "Train on",
        "This share of a library or of images; the rest is for validation.",
        ADVANCED,
        "%",
        (1.0, 99.0),
    )
    tensorboard: bool = argument(
        False, "TensorBoard", "Write the curves for TensorBoard, too, beside the recipe.", ADVANCED
    )

    @property
    def adversarial(self) -> bool:
        """Whether the network is trained against a discriminator."""
        return self.objective == APGAN or (self.objective == OWN and bool(self.adversary))

    @property
    def chosen_device(self) -> str:
        """Name of the device, that of Preferences if none is chosen."""
        return preferences().device if self.device == _AS_PREFERRED else self.device
