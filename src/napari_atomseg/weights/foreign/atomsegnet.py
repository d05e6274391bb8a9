"""Networks of AtomSegNet (Lin et al., Scientific Reports 11, 5386, 2021): its `.pth` files.

A file holds a state dictionary, which is read with `weights_only=True`: tensors, and nothing that
could run. The published program has two networks: a U-Net, and for the files that begin with
"Gen1-" a nested U-Net. Both see the image scaled from 0 to 1 and give a finished map.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from napari_atomseg.networks.card import ModelCard, WeightsError
from napari_atomseg.weights.state import read_state

if TYPE_CHECKING:
    from torch import Tensor

PAGE = "https://github.com/xinhuolin/AtomSegNet"
LICENCE = "MIT"
LICENCE_PAGE = f"{PAGE}/blob/master/LICENSE"
CITATION = (
    "R. Lin, R. Zhang, C. Wang, X.-Q. Yang, H. L. Xin, TEMImageNet training library and AtomSegNet "
    "deep-learning models for high-precision atom segmentation, localization, denoising, and "
    "deblurring of atomic-resolution images, Scientific Reports 11, 5386 (2021), "
    "doi:10.1038/s41598-021-84499-w"
)
SUFFIX = ".pth"
LARGEST_FILE = 2**28
"""Bytes; the nested network's file has 37 MB."""

_PARALLEL = "module."
"""Beginning of all names in files that were saved from several GPUs."""
_COUNTER = "num_batches_tracked"
_UNUSED = "bn9_3."
"""A layer of the published U-Net that no image passes."""


@dataclass(frozen=True)
class Published:
    """A file of the repository's folder `model_weights`.

    Attributes
    ----------
    name : of the model here.
    file : its name there.
    task : what its map is.
    """

    name: str
    file: str
    task: str

    @property
    def nested(self) -> bool:
        """Whether it is of the nested network."""
        return self.file.startswith("Gen1-")

    @property
    def card(self) -> ModelCard:
        """The card of the imported model."""
        what = {
            "denoise": "noise removed",
            "denoise_background": "noise and background removed",
            "superresolution": "noise and background removed, columns narrowed",
            "column_map": "a peak for each column",
            "column_mask": "a disc for each column",
        }[self.task]
        return ModelCard(
            name=self.name,
            architecture="atomsegnet_nested" if self.nested else "atomsegnet_unet",
            arguments={"channels_in": 1, "channels_out": 1}
            | ({} if self.nested else {"published": True}),
            tasks=(self.task,),
            normalisation="range of the image from 0 to 1, finished maps",
            modality="STEM",
            spacing_range=None,
            licence=LICENCE,
            citation=CITATION,
            source=f"{PAGE}, model_weights/{self.file}",
            description=f"AtomSegNet's network {self.file.removesuffix(SUFFIX)}: {what}.",
        )


FILES = tuple(
    Published(f"atomsegnet-{name}", f"{file}{SUFFIX}", task)
    for name, file, task in (
        ("denoise", "denoise", "denoise"),
        ("bgremoval", "denoise&bgremoval", "denoise_background"),
        ("superres", "denoise&bgremoval&superres", "superresolution"),
        ("superres-airy", "denoise&airysuperrez_beta", "superresolution"),
        ("mask", "circularMask", "column_mask"),
        ("mask-mse", "circularMask_mse_beta", "column_mask"),
        ("mask-chi10", "circularMask_chi10_beta", "column_mask"),
        ("mask-chi100", "circularMask_chi100_beta", "column_mask"),
        ("map", "guassianMask", "column_map"),
        ("map-plus", "gaussianMask+", "column_map"),
        ("gen1-denoise", "Gen1-noNoise", "denoise"),
        ("gen1-bgremoval", "Gen1-noBackgroundNonoise", "denoise_background"),
        ("gen1-superres", "Gen1-noNoiseNoBackgroundSuperresolution", "superresolution"),
        ("gen1-mask", "Gen1-circularMask", "column_mask"),
        ("gen1-map", "Gen1-gaussianMask", "column_map"),
    )
)
"""The files of the repository; the program knows no others."""


def find(source: Path, published: Published) -> Path:
    """The file of a model: given itself, or in a folder, or in its folder `model_weights`.

    Raises
    ------
    WeightsError
        It is not there, or leads out of the folder.
    """
    if not source.is_dir():
        if source.suffix.lower() != SUFFIX or not source.is_file():
            raise WeightsError(f"{source}: no such {SUFFIX} file or folder")
        return source
    for place in (source / published.file, source / "model_weights" / published.file):
        if place.is_file():
            if not place.resolve().is_relative_to(source.resolve()):
                raise WeightsError(f"{place}: a link that leads out of {source}")
            return place
    raise WeightsError(f"{source}: {published.file} is not in it")


def tensors(path: Path, published: Published) -> dict[str, Tensor]:
    """Tensors of a network of this package from a `.pth` file of AtomSegNet.

    Raises
    ------
    WeightsError
        The file is too large, is no dictionary of tensors, or a name or a shape does not fit; the
        message says which.
    """
    import torch

    from napari_atomseg import networks

    state = _state(path)
    with torch.device("meta"):
        network = networks.create(published.card.architecture, **published.card.arguments)
    wanted = network.state_dict()
    names = _nested_names() if published.nested else _unet_names()
    theirs = {_their_name(name, names): name for name in wanted}
    made: dict[str, Tensor] = {}
    for key, name in theirs.items():
        if key not in state:
            if key.endswith(_COUNTER):
                made[name] = torch.zeros((), dtype=torch.long)
                continue
            raise WeightsError(f"{path}: {key} is missing; {_kind(published)} has it")
        value, shape = state.pop(key), tuple(wanted[name].shape)
        if tuple(value.shape) != shape:
            raise WeightsError(f"{path}: {key} has shape {tuple(value.shape)}, expected {shape}")
        if not bool(torch.isfinite(value).all()):
            raise WeightsError(f"{path}: {key} has values that are not finite")
        made[name] = value.detach().clone().to(wanted[name].dtype)
    left = [k for k in state if not k.endswith(_COUNTER) and not k.startswith(_UNUSED)]
    if left:
        raise WeightsError(f"{path}: {left[0]} has no place in {_kind(published)}")
    return made


def _kind(published: Published) -> str:
    return f"AtomSegNet's {'nested U-Net' if published.nested else 'U-Net'}"


def _state(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name."""
    if path.stat().st_size > LARGEST_FILE:
        raise WeightsError(f"{path}: larger than {LARGEST_FILE / 1e6:.0f} MB, not AtomSegNet's")
    state = read_state(path.read_bytes(), str(path))
    return {key.removeprefix(_PARALLEL): value for key, value in state.items()}


def _their_name(name: str, layers: Mapping[str, str]) -> str:
    """Name of a tensor in a file from that in this package's network."""
    layer, _, part = name.rpartition(".")
    return f"{layers[layer]}.{part}"


def _double(ours: str, first: tuple[str, str], second: tuple[str, str]) -> dict[str, str]:
    """Layers of two convolutions, each with its normalisation: 0, 1 and 3, 4 of `convolutions`."""
    return dict(zip((f"{ours}.{n}" for n in (0, 1, 3, 4)), (*first, *second), strict=True))


def _unet_names() -> dict[str, str]:
    """Names of AtomSegNet's layers by those of `atomsegnet_unet`; its levels are 1, 2 and 4, then
    7 and 9 on the way up.
    """

    def level(number: int, ours: str) -> dict[str, str]:
        pairs = [(f"conv{number}_{n}", f"bn{number}_{n}") for n in (1, 2)]
        return _double(ours, pairs[0], pairs[1])

    names: dict[str, str] = {}
    for place, number in enumerate((1, 2, 4)):
        names |= level(number, f"encoder.{place}")
    # `decoder` stands in the order of the levels, the finest first.
    for place, (deep, merged) in enumerate(((7, 9), (4, 7))):
        rise = f"decoder.{place}"
        names |= {
            f"{rise}.reduce.0": f"upconv{deep}",
            f"{rise}.reduce.1": f"bn{deep}",
            f"{rise}.norm": f"bn{deep}_out",
        }
        names |= level(merged, f"{rise}.merge")
    return names | {"exit": "conv9_3", "last": "bn9"}


def _nested_names() -> dict[str, str]:
    """Names of AtomSegNet's layers by those of `atomsegnet_nested`, the block of level i and
    column j being `convi_j`.
    """

    def block(ours: str, theirs: str) -> dict[str, str]:
        return _double(
            ours,
            (f"{theirs}.conv1", f"{theirs}.bn1"),
            (f"{theirs}.conv2", f"{theirs}.bn2"),
        )

    names: dict[str, str] = {}
    for level in range(5):
        names |= block(f"encoder.{level}", f"conv{level}_0")
        for column in range(1, 5 - level):
            names |= block(f"nested.{level}-{column}", f"conv{level}_{column}")
    return names | {"exit": "final"}


def known(name: str) -> Published | None:
    """The published file of a name here, or of a file's name there."""
    file = PurePosixPath(name).name
    return next((each for each in FILES if file in (each.name, each.file)), None)
