"""Models for other programs, and packages of others."""

import hashlib
import json
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from napari_atomseg import networks, weights
from napari_atomseg.networks.card import ModelCard, WeightsError
from napari_atomseg.networks.files import load_weights, save_weights
from napari_atomseg.networks.schemes import RANGE, STANDARD
from napari_atomseg.weights import state
from napari_atomseg.weights.exports.graph import channel_names, description

ARGUMENTS = {"channels_in": 1, "channels_out": 2, "widths": [4, 6], "spectral": 2}
TASKS = ("denoise", "column_map")
OURS = "napari_atomseg.networks"


def network() -> torch.nn.Module:
    torch.manual_seed(0)
    made = networks.create("unet", **ARGUMENTS)
    torch.nn.init.normal_(made.exit.weight, std=0.1)
    return made.eval()


def card(**fields: Any) -> ModelCard:
    return ModelCard(
        **{
            "name": "mine",
            "architecture": "unet",
            "arguments": ARGUMENTS,
            "tasks": TASKS,
            "normalisation": STANDARD,
            "description": "A small network.",
            **fields,
        }
    )


@pytest.fixture
def own(cache: Path, tmp_path: Path) -> str:
    """A model of the user's own, by name."""
    save_weights(tmp_path / "mine.safetensors", network(), card())
    return weights.import_model(tmp_path / "mine.safetensors")


def rdf(content: bytes, **fields: Any) -> dict[str, Any]:
    """Description of a package that another program may have written, with a network of ours."""
    return {
        "type": "model",
        "format_version": "0.5.3",
        "name": "theirs",
        "license": "MIT",
        "inputs": [{"id": "raw", "preprocessing": [{"id": "zero_mean_unit_variance"}]}],
        "outputs": [{"axes": [{"type": "channel", "channel_names": list(TASKS)}]}],
        "weights": {
            "pytorch_state_dict": {
                "source": "weights.pt",
                "sha256": hashlib.sha256(content).hexdigest(),
                "architecture": {
                    "callable": "UNet",
                    "import_from": "napari_atomseg.networks.unet",
                    "kwargs": dict(ARGUMENTS),
                },
            }
        },
        **fields,
    }


def saved(value: Any) -> bytes:
    stream = BytesIO()
    torch.save(value, stream)
    return stream.getvalue()


def package(folder: Path, described: Any, content: bytes, name: str = "weights.pt") -> Path:
    path = folder / "theirs.zip"
    with zipfile.ZipFile(path, "w") as archive:
        text = described if isinstance(described, str) else yaml.safe_dump(described)
        archive.writestr("rdf.yaml", text)
        archive.writestr(name, content)
    return path


@pytest.mark.usefixtures("cache")
def test_a_package_of_others_with_our_network_becomes_a_model(tmp_path: Path) -> None:
    content = saved(network().state_dict())
    name = weights.import_model(package(tmp_path, rdf(content), content))
    assert name == "theirs"
    made, known = load_weights(weights.resolve(name))
    assert (known.tasks, known.normalisation, known.licence) == (TASKS, STANDARD, "MIT")
    image = torch.randn(1, 1, 33, 40)
    with torch.inference_mode():
        np.testing.assert_array_equal(made(image), network()(image))


@pytest.mark.usefixtures("cache")
def test_names_of_format_0_4_are_read_too(tmp_path: Path) -> None:
    content = saved(network().state_dict())
    described = rdf(content, format_version="0.4.10")
    entry = described["weights"]["pytorch_state_dict"]
    entry["architecture"] = "napari_atomseg.networks.unet.UNet"
    entry["kwargs"] = dict(ARGUMENTS)
    described["inputs"][0]["preprocessing"] = [{"name": "scale_range"}]
    name = weights.import_model(package(tmp_path, described, content), "older")
    assert load_weights(weights.resolve(name))[1].normalisation == RANGE


class Trap:
    """Runs a command where it is unpickled without care."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> Any:
        return (Path.touch, (self.trace,))


@pytest.mark.usefixtures("cache")
def test_nothing_in_a_package_is_executed(tmp_path: Path) -> None:
    trace = tmp_path / "executed"
    content = saved({"entry.weight": Trap(trace)})
    with pytest.raises(WeightsError, match="not a dictionary of tensors"):
        weights.import_model(package(tmp_path, rdf(content), content))
    source = f"import pathlib\npathlib.Path({str(trace)!r}).touch()\n"
    described = rdf(content)
    described["weights"]["pytorch_state_dict"]["architecture"] = {
        "callable": "Net",
        "source": "net.py",
    }
    path = package(tmp_path, described, content)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("net.py", source)
    with pytest.raises(WeightsError, match="program in it, which is not run"):
        weights.import_model(path)
    tag = f"!!python/object/apply:pathlib.Path.touch [{str(trace)!r}]"
    with pytest.raises(WeightsError, match="not a YAML file"):
        weights.import_model(package(tmp_path, f"type: {tag}\n", content))
    assert not trace.exists()


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"architecture": {"callable": "system", "import_from": "os"}}, "os.system; only networks"),
        (
            {
                "architecture": {
                    "callable": "load_weights",
                    "import_from": "napari_atomseg.networks",
                }
            },
            "is no network of this version",
        ),
        (
            {
                "architecture": {
                    "callable": "Discriminator",
                    "import_from": "napari_atomseg.networks",
                }
            },
            "is no network of this version",
        ),
        ({"architecture": "net.py:Net"}, "program in it"),
        ({"architecture": None}, "names no architecture"),
        ({"source": "https://example.org/weights.pt"}, "out of the package"),
        ({"source": "../weights.pt"}, "out of the package"),
        ({"source": "/etc/passwd"}, "out of the package"),
        ({"source": "other.pt"}, "other.pt is not in it"),
        ({"source": None}, "which file its weights are"),
        ({"sha256": "0" * 64}, "SHA-256"),
    ],
)
@pytest.mark.usefixtures("cache")
def test_what_is_not_imported_is_said(tmp_path: Path, entry: dict[str, Any], message: str) -> None:
    content = saved(network().state_dict())
    described = rdf(content)
    described["weights"]["pytorch_state_dict"] |= entry
    with pytest.raises(WeightsError, match=message):
        weights.import_model(package(tmp_path, described, content))
    assert weights.models()["own"].sum() == 0


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"weights": {"onnx": {"source": "a.onnx"}}}, "are onnx, which are programs"),
        ({"weights": {"torchscript": {}, "onnx": {}}}, "onnx, torchscript"),
        ({"weights": {}}, "describes no weights"),
        ({"type": "dataset"}, "does not describe a model"),
        ({"outputs": [{"id": "cells"}]}, "maps are called cells"),
        ({"inputs": [{"id": "raw"}]}, "scaled in none of the ways"),
        ({"inputs": []}, "models of one image"),
    ],
)
@pytest.mark.usefixtures("cache")
def test_descriptions_that_do_not_fit_are_refused(
    tmp_path: Path, fields: dict[str, Any], message: str
) -> None:
    content = saved(network().state_dict())
    with pytest.raises(WeightsError, match=message):
        weights.import_model(package(tmp_path, rdf(content, **fields), content))


@pytest.mark.usefixtures("cache")
def test_tensors_and_sizes_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(value: Any, message: str, **arguments: Any) -> None:
        content = saved(value)
        described = rdf(content)
        described["weights"]["pytorch_state_dict"]["architecture"]["kwargs"] |= arguments
        with pytest.raises(WeightsError, match=message):
            weights.import_model(package(tmp_path, described, content))

    tensors = network().state_dict()
    refused({k: v for k, v in tensors.items() if k != "exit.bias"}, "exit.bias: absent")
    refused(tensors | {"more": torch.zeros(1)}, "more")
    refused(tensors | {"exit.bias": torch.full((8,), torch.nan)}, "not finite")
    # A network of any size may be described; it is compared before it is made.
    refused(tensors, r"expected \(100000,", widths=[10**5, 10**5])
    refused(tensors, "does not fit", widths="wide")
    monkeypatch.setattr(state, "LARGEST", 1000)
    refused(tensors, "larger than")


@pytest.mark.usefixtures("cache")
def test_files_that_are_no_packages_are_said(tmp_path: Path) -> None:
    path = tmp_path / "theirs.zip"
    with pytest.raises(WeightsError, match="no such file"):
        weights.import_model(path)
    path.write_bytes(b"PK not a zip")
    with pytest.raises(WeightsError, match="not a ZIP file"):
        weights.import_model(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("image.png", b"")
    with pytest.raises(WeightsError, match=r"no model package of bioimage\.io"):
        weights.import_model(path)


def test_the_channels_of_an_export_are_named() -> None:
    elements = card(
        tasks=("denoise", "elements"),
        species=("Pb", "Sr"),
        arguments={**ARGUMENTS, "channels_out": 3},
    )
    assert channel_names(elements) == ["denoise", "elements:Pb", "elements:Sr"]
    lines = card(tasks=("line_shifts",), arguments={**ARGUMENTS, "channels_out": 4})
    assert channel_names(lines)[:2] == ["line_shifts:y", "line_shifts:x"]
    assert "standard deviation" in description(card())["normalisation"]
    assert "minimum" in description(card(normalisation=RANGE))["normalisation"]


def test_a_copy_of_the_weights_needs_no_extra(own: str, tmp_path: Path) -> None:
    copy = weights.export_model(own, tmp_path / "copy")
    assert copy == tmp_path / "copy.safetensors"
    assert copy.read_bytes() == weights.resolve(own).read_bytes()
    assert weights.export_model(own, tmp_path / "v1.2").name == "v1.2.safetensors"
    with pytest.raises(ValueError, match="choose one of weights, onnx, bioimageio"):
        weights.export_model(own, tmp_path / "copy", "pickle")  # type: ignore[arg-type]


def test_a_missing_extra_is_said(own: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(ImportError, match=r"napari-atomseg\[export\]"):
        weights.export_model(own, tmp_path / "mine", "onnx")
    assert not list(tmp_path.glob("*.onnx"))


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_package_is_valid_equal_to_torch_and_comes_back(own: str, tmp_path: Path) -> None:
    """Its ONNX is what `export_model` writes as "onnx"; making the graph takes most of the time."""
    for name in ("onnx", "onnxscript"):
        pytest.importorskip(name, reason="needs the extra 'export'")
    runtime = pytest.importorskip("onnxruntime", reason="needs the extra 'export'")
    spec = pytest.importorskip("bioimageio.spec", reason="needs the extra 'export'")
    from napari_atomseg.weights.exports.graph import INPUT, finished

    file = weights.export_model(own, tmp_path / "mine", "bioimageio")
    described = spec.load_description(file)
    assert not isinstance(described, spec.InvalidDescr)
    with zipfile.ZipFile(file) as archive:
        session = runtime.InferenceSession(
            archive.read("weights.onnx"), providers=["CPUExecutionProvider"]
        )
    known = session.get_modelmeta().custom_metadata_map
    assert json.loads(known["maps"]) == list(TASKS)
    assert ModelCard.model_validate_json(known["card"]).name == own
    model, first = finished(weights.resolve(own))
    for shape in ((1, 1, 64, 64), (2, 1, 67, 101), (1, 1, 130, 65)):
        image = torch.randn(shape, generator=torch.Generator().manual_seed(3))
        with torch.inference_mode():
            expected = model(image).numpy()
        (found,) = session.run(None, {INPUT: image.numpy()})
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)
    again, second = load_weights(weights.resolve(weights.import_model(file, "again")))
    assert first.model_dump(exclude={"name"}) == second.model_dump(exclude={"name"})
    for name, value in model.network.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
