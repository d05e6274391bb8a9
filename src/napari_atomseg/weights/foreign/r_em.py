"""The six networks of r_em (Lobato, Friedrich and Van Aert, npj Comput. Mater. 10, 10, 2024).

Each is the concatenated grouped residual dense network of the paper, `cgrdn`, and restores images
of one kind: of high or low resolution, by STEM, TEM or SEM. The files are those of the authors'
repository, which are also those of their source package 1.0.4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_atomseg.networks.card import ModelCard, WeightsError
from napari_atomseg.weights.foreign.bundle import read_bundle
from napari_atomseg.weights.foreign.sources import Wanted

if TYPE_CHECKING:
    from torch import Tensor

COMMIT = "65cdc46d2b7b6ff6359ef622c699d5c140783d12"
BASE = f"https://raw.githubusercontent.com/Ivanlh20/r_em/{COMMIT}"
PAGE = "https://github.com/Ivanlh20/r_em"
LICENCE = "GPL-3.0"
LICENCE_PAGE = f"{PAGE}/blob/{COMMIT}/LICENSE.txt"
AUTHORS = "I. Lobato, T. Friedrich and S. Van Aert, University of Antwerp"
CITATION = (
    "I. Lobato, T. Friedrich, S. Van Aert, Deep convolutional neural networks to restore "
    "single-shot electron microscopy images, npj Computational Materials 10, 10 (2024), "
    "doi:10.1038/s41524-023-01188-0"
)
PARAMETERS = 7_035_521

_INDEX_SIZE, _DATA_SIZE = 20_148, 28_370_394
_HASHES = {
    "hr-stem": (
        "174b2522fc4c4cd82237f6c40d3b55e80ea8f9fd0f2773824b86dc43ac4ba3f5",
        "8d16fdb8a863f0be651ec388a79a4bfc99f7006413c2fd1a96d01d514854e7a0",
    ),
    "lr-stem": (
        "6cd5b0a6659d6d9309a4e621908ccbb8ea9a1e90e770398f7a505062a7b2fba3",
        "c6b1abeb5b4b9c74e15c9da7fb26eae42d1e1f8d7d26fe54fb1ca8d95b95f845",
    ),
    "hr-tem": (
        "94f6b8e9c2914fcd34b3f3758058256e2ff4ee2147347f60705865dd3105a86f",
        "5cd27f4248af30846c436cb67e50f52d4650c447961857fc82c4d93d7f2307cc",
    ),
    "lr-tem": (
        "7d18fb9f147815ae7ba1dec3f61c5be5767b5c362905511a5f7d8f3870d9c183",
        "8680dbb5894992613cefbed9d8033e6f1c3ea0e5a95fdebb70549a4b30801c6e",
    ),
    "hr-sem": (
        "859c912b197ee83434edbac3b48ed95e333e58511651cdfe8a8725959ffeb9ca",
        "377b2ca2d1ce1ad4cbff188a55b864de27767510438e2d34cd622bfb78774745",
    ),
    "lr-sem": (
        "a52a16102f3984197cdef70f44b710194e6637625d29a082665faeb8703b5f5d",
        "1398e3f40948021831e100c7a8151e60c70723780289d5aac3dd5cbab15977c5",
    ),
}
"""SHA-256 of index and data of each network."""

KINDS = tuple(_HASHES)


def files(kind: str) -> tuple[Wanted, Wanted]:
    """Index and data of the variables of a network, in the repository."""
    folder = f"tk_r_em/models/sfr_{kind.replace('-', '')}/variables"
    index, data = _HASHES[kind]
    return (
        Wanted(f"{folder}/variables.index", _INDEX_SIZE, index),
        Wanted(f"{folder}/variables.data-00000-of-00001", _DATA_SIZE, data),
    )


def card(kind: str) -> ModelCard:
    """The card of an imported network."""
    resolution, modality = kind.split("-")
    scale = {"hr": "at atomic resolution", "lr": "at low resolution"}[resolution]
    return ModelCard(
        name=f"r-em-{kind}",
        architecture="cgrdn",
        # The map of the task is added to the image already.
        arguments={"channels_in": 1, "channels_out": 1, "residual": False},
        tasks=("denoise",),
        normalisation="zero mean and unit standard deviation of the image",
        sees="as recorded",
        modality=modality.upper(),
        spacing_range=None,
        licence=LICENCE,
        citation=CITATION,
        source=f"{PAGE}, commit {COMMIT}, {files(kind)[0].path.rpartition('/')[0]}",
        description=f"r_em's network for {modality.upper()} images {scale}: noise, scan errors and "
        f"detector faults in one step. By {AUTHORS}.",
    )


def tensors(contents: list[bytes]) -> dict[str, Tensor]:
    """Tensors of `cgrdn` from the two files of a network.

    The layers of the saved model stand in the order in which an image meets them: entry, down,
    each group's blocks of dense convolutions and their fusion, the group's fusion, the fusion of
    all groups, up, exit; `cgrdn` has the same order. TensorFlow's kernels are (rows, columns, in,
    out), those of the transposed convolution (rows, columns, out, in); PyTorch's are (out, in,
    rows, columns) and (in, out, rows, columns): the same permutation.

    Raises
    ------
    WeightsError
        A variable is missing, or has another shape than the layer; the message names it.
    """
    import torch

    from napari_atomseg import networks

    variables = read_bundle(*contents)
    with torch.device("meta"):
        network = networks.create("cgrdn", residual=False)
    layers = [(name, layer) for name, layer in network.named_modules() if hasattr(layer, "weight")]
    made: dict[str, Tensor] = {}
    for number, (name, layer) in enumerate(layers):
        for part, own in (("kernel", "weight"), ("bias", "bias")):
            key = f"layer_with_weights-{number}/{part}"
            wanted: Any = getattr(layer, own).shape
            if key not in variables:
                raise WeightsError(f"variable {key} is missing, for {name}.{own}")
            array = variables.pop(key)
            if part == "kernel" and array.ndim == 4:
                array = array.transpose(3, 2, 0, 1)
            if array.shape != tuple(wanted):
                raise WeightsError(
                    f"variable {key} has shape {array.shape}, {name}.{own} has {tuple(wanted)}"
                )
            made[f"{name}.{own}"] = torch.from_numpy(array.copy())
    if variables:
        raise WeightsError(f"variable {next(iter(variables))} has no place in the network")
    return made
