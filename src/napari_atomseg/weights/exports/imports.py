"""Model packages of bioimage.io, read into weights files of this package.

What is taken is a state dictionary of one of this package's networks, named in the package by its
class. Nothing in a package is executed: no class or function that it names is imported from
anywhere else, and no file is unpacked. So packages with ONNX, TorchScript or a program of their own
are refused.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from napari_atomseg._shared.plain_yaml import read_yaml
from napari_atomseg.networks.card import LARGEST_CARD, ModelCard, WeightsError
from napari_atomseg.networks.schemes import RANGE, STANDARD
from napari_atomseg.networks.tasks import TARGETS
from napari_atomseg.weights.exports.package import CONFIG
from napari_atomseg.weights.state import check_size, read_state

if TYPE_CHECKING:
    from torch import Tensor, nn

ENDING = ".zip"
MOST_FILES = 200
_DESCRIPTIONS = ("rdf.yaml", "bioimageio.yaml", "model.yaml")
_NETWORKS = "napari_atomseg.networks"
_FINISHED = "FinishedMaps"
_STATE = "pytorch_state_dict"
_SCALINGS = {"zero_mean_unit_variance": STANDARD, "scale_range": RANGE}


def read_package(path: Path) -> tuple[nn.Module, ModelCard]:
    """The network of a package, in evaluation mode, and its card.

    Parameters
    ----------
    path : of the ZIP file.

    Raises
    ------
    WeightsError
        It is no package, damaged, or its weights are not a state dictionary of a network of this
        package; the message says why it is refused.
    """
    with _opened(path) as archive:
        names = _names(archive, path)
        rdf = _description(archive, names, path)
        entry = _state_entry(rdf, path)
        card = _card(rdf, entry, path)
        source = _source(entry, names, path)
        content = _read(archive, names[source], f"{path}: {source}")
    wanted = entry.get("sha256")
    if wanted is not None and hashlib.sha256(content).hexdigest() != wanted:
        raise WeightsError(f"{path}: {source} is damaged (its SHA-256 is not the described one)")
    return _network(read_state(content, f"{path}: {source}"), card, path), card


def _opened(path: Path) -> zipfile.ZipFile:
    if not path.is_file():
        raise WeightsError(f"{path}: no such file")
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
        raise WeightsError(f"{path}: not a ZIP file, or damaged ({error})") from error


def _names(archive: zipfile.ZipFile, path: Path) -> dict[str, zipfile.ZipInfo]:
    """The files of a package by their names in it."""
    members = archive.infolist()
    if len(members) > MOST_FILES:
        raise WeightsError(f"{path}: more than {MOST_FILES} files, not a model package")
    return {str(PurePosixPath(member.filename)): member for member in members}


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo, where: str) -> bytes:
    check_size(member.file_size, where)
    try:
        with archive.open(member) as file:
            # A member cannot unpack to more than it says, and not to more than is asked for.
            return file.read(member.file_size)
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError) as error:
        raise WeightsError(f"{where}: damaged, or encrypted ({error})") from error


def _description(
    archive: zipfile.ZipFile, names: Mapping[str, zipfile.ZipInfo], path: Path
) -> dict[str, Any]:
    found = [name for name in names if name in _DESCRIPTIONS or name.endswith(".bioimageio.yaml")]
    if not found:
        raise WeightsError(f"{path}: no model package of bioimage.io, it has no {_DESCRIPTIONS[0]}")
    where = f"{path}: {found[0]}"
    if names[found[0]].file_size > LARGEST_CARD:
        raise WeightsError(f"{where}: too large to be a description")
    try:
        rdf = read_yaml(_read(archive, names[found[0]], where).decode("utf-8"))
    except ValueError as error:
        raise WeightsError(f"{where}: not a YAML file ({error})") from error
    if not isinstance(rdf, dict) or rdf.get("type") != "model":
        raise WeightsError(f"{where}: does not describe a model")
    return rdf


def _state_entry(rdf: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The description of the state dictionary."""
    weights = rdf.get("weights")
    if not isinstance(weights, dict) or not weights:
        raise WeightsError(f"{path}: describes no weights")
    entry = weights.get(_STATE)
    if not isinstance(entry, dict):
        raise WeightsError(
            f"{path}: its weights are {', '.join(map(str, weights))}, which are programs of their "
            f"own and are not run; only {_STATE} of a network of napari-atomseg is imported"
        )
    return entry


def _source(entry: Mapping[str, Any], names: Mapping[str, zipfile.ZipInfo], path: Path) -> str:
    """Name of the file of the weights, which lies in the package."""
    source = entry.get("source")
    if isinstance(source, dict):
        source = source.get("source")
    if not isinstance(source, str):
        raise WeightsError(f"{path}: says nowhere which file its weights are")
    place = PurePosixPath(source)
    if "://" in source or place.is_absolute() or ".." in place.parts or "\\" in source:
        raise WeightsError(f"{path}: its weights are at {source!r}, out of the package")
    if str(place) not in names:
        raise WeightsError(f"{path}: {source} is not in it")
    return str(place)


def _architecture(entry: Mapping[str, Any], path: Path) -> tuple[str, str, dict[str, Any]]:
    """Module, name and arguments of the class that a package names; of format 0.4 too."""
    known = entry.get("architecture")
    if isinstance(known, str):
        module, _, name = known.rpartition(".")
        arguments = entry.get("kwargs") or {}
        own_file = ":" in known
    elif isinstance(known, dict):
        module, name = str(known.get("import_from", "")), str(known.get("callable", ""))
        arguments = known.get("kwargs") or {}
        own_file = "source" in known
    else:
        raise WeightsError(f"{path}: names no architecture")
    if own_file:
        raise WeightsError(f"{path}: its architecture is a program in it, which is not run")
    if module != _NETWORKS and not module.startswith(f"{_NETWORKS}."):
        raise WeightsError(
            f"{path}: its architecture is {module}.{name}; only networks of napari-atomseg are "
            "imported"
        )
    if not isinstance(arguments, dict):
        raise WeightsError(f"{path}: the arguments of its architecture are no mapping")
    return module, name, arguments


def _card(rdf: Mapping[str, Any], entry: Mapping[str, Any], path: Path) -> ModelCard:
    """The card of a package: ours, or what its description says."""
    module, name, arguments = _architecture(entry, path)
    config = rdf.get("config")
    ours = config.get(CONFIG) if isinstance(config, dict) else None
    written = ours.get("card") if isinstance(ours, dict) else None
    try:
        if isinstance(written, str) and len(written) <= LARGEST_CARD:
            known = ModelCard.model_validate_json(written).model_dump()
        else:
            known = _described(rdf, path)
        if name == _FINISHED:
            known |= arguments
        else:
            known |= {"architecture": _registered(module, name, path), "arguments": arguments}
        return ModelCard.model_validate(known)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"])) or "card"
        raise WeightsError(f"{path}: bad description ({where}: {fault['msg']})") from error


def _registered(module: str, name: str, path: Path) -> str:
    """The registered name of a class, or of a name itself."""
    from napari_atomseg.networks.register import architectures

    known = {key: made for key, made in architectures().items() if not made.judges}
    if name in known:
        return name
    for key, made in known.items():
        places = (_NETWORKS, made.network.__module__)
        if made.network.__name__ == name and module in places and not made.preset:
            return key
    raise WeightsError(f"{path}: {module}.{name} is no network of this version of napari-atomseg")


def _described(rdf: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Card of a package that another program wrote: its outputs are named like tasks."""
    outputs, inputs = rdf.get("outputs"), rdf.get("inputs")
    if not isinstance(outputs, list) or not isinstance(inputs, list) or len(inputs) != 1:
        raise WeightsError(f"{path}: only models of one image are imported")
    tasks: list[str] = []
    for output in outputs:
        tasks += _channels(output)
    unknown = [task for task in tasks if task not in TARGETS]
    if unknown or not tasks:
        raise WeightsError(
            f"{path}: its maps are called {', '.join(tasks) or 'nothing'}; those of a model of "
            f"napari-atomseg are among {', '.join(TARGETS)}"
        )
    return {
        "name": str(rdf.get("name") or path.stem),
        "tasks": tuple(tasks),
        "normalisation": _normalisation(inputs[0], path),
        "spacing_range": None,
        "licence": str(rdf.get("license") or "unknown"),
        "description": str(rdf.get("description") or ""),
        "source": str(rdf.get("git_repo") or rdf.get("id") or path.name),
    }


def _channels(output: Any) -> list[str]:
    """Names of the channels of an output, or its own."""
    if not isinstance(output, dict):
        return []
    axes = output.get("axes")
    for axis in axes if isinstance(axes, list) else ():
        if isinstance(axis, dict) and axis.get("type") == "channel":
            names = axis.get("channel_names")
            if isinstance(names, list) and all(name in TARGETS for name in names):
                return [str(name) for name in names]
    return [str(output.get("id") or output.get("name") or "")]


def _normalisation(image: Any, path: Path) -> str:
    """The scheme that the preprocessing of a package is."""
    steps = image.get("preprocessing") if isinstance(image, dict) else None
    for step in steps if isinstance(steps, list) else ():
        name = (step.get("id") or step.get("name")) if isinstance(step, dict) else None
        if name in _SCALINGS:
            return _SCALINGS[str(name)]
    raise WeightsError(f"{path}: images are scaled in none of the ways {', '.join(_SCALINGS)}")


def _network(state: dict[str, Tensor], card: ModelCard, path: Path) -> nn.Module:
    """The network of a card with the tensors of a state dictionary."""
    import torch

    from napari_atomseg import networks
    from napari_atomseg.networks.files import MISFITS
    from napari_atomseg.networks.schemes import scheme

    scheme(card.normalisation)
    tensors = {name.removeprefix("network."): value for name, value in state.items()}
    try:
        # Without allocation first: a malicious package may describe a network of any size.
        with torch.device("meta"):
            expected = networks.create(card.architecture, **card.arguments).state_dict()
        for name in sorted(expected.keys() | tensors.keys()):
            wanted = tuple(expected[name].shape) if name in expected else None
            found = tuple(tensors[name].shape) if name in tensors else None
            if found != wanted:
                raise ValueError(f"tensor {name}: {found or 'absent'}, expected {wanted or 'none'}")
            if not bool(torch.isfinite(tensors[name]).all()):
                raise ValueError(f"tensor {name} has values that are not finite")
        network = networks.create(card.architecture, **card.arguments)
        network.load_state_dict(tensors)
    except MISFITS as error:
        raise WeightsError(f"{path}: does not fit its architecture ({error})") from error
    return network.eval().requires_grad_(False)
