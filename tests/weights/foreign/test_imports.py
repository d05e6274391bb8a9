"""Models of others, imported by name. The files that they are made of are made here."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as functional
from torch import Tensor, nn
from typer.testing import CliRunner

import napari_atomseg as atomseg
from napari_atomseg import networks, weights
from napari_atomseg.cli import app
from napari_atomseg.evaluation import evaluate
from napari_atomseg.inference import Predictor, predict
from napari_atomseg.networks.card import WeightsError, read_card
from napari_atomseg.networks.files import load_weights
from napari_atomseg.weights.foreign import atomsegnet, r_em
from napari_atomseg.weights.foreign.r_em import card, tensors

files = import_module("bundles")
archive, bundle, wanted = files.archive, files.bundle, files.wanted

SIZES = {"width": 4, "growth": 2, "layers": 2, "blocks": 2, "groups": 2}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NAPARI_ATOMSEG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> nn.Module:
    """A small network, which all of r_em's are for this test."""
    torch.manual_seed(0)
    make = networks.create
    monkeypatch.setattr(networks, "create", lambda name, **given: make(name, **SIZES | given))
    return networks.create("cgrdn", residual=False)


def layers(network: nn.Module) -> list[nn.Module]:
    return [layer for _, layer in network.named_modules() if hasattr(layer, "weight")]


def variables(network: nn.Module) -> dict[str, np.ndarray]:
    """As TensorFlow keeps them: (rows, columns, in, out) of a convolution."""
    made = {}
    for number, layer in enumerate(layers(network)):
        weight: Any = layer.weight
        made[f"layer_with_weights-{number}/kernel"] = weight.detach().numpy().transpose(2, 3, 1, 0)
        bias: Any = layer.bias
        made[f"layer_with_weights-{number}/bias"] = bias.detach().numpy()
    return made


@pytest.fixture
def repository(
    small: nn.Module, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, bytes]:
    """Files of a repository like r_em's, whose networks are all the small one."""
    contents = bundle(variables(small))
    made: dict[str, bytes] = {}
    for kind in r_em.KINDS:
        names = [file.path for file in r_em.files(kind)]
        made |= dict(zip(names, contents, strict=True))
    monkeypatch.setattr(
        r_em,
        "files",
        lambda kind: tuple(
            wanted(f"tk_r_em/models/sfr_{kind.replace('-', '')}/variables/{name}", content)
            for name, content in zip(
                ("variables.index", "variables.data-00000-of-00001"), contents, strict=True
            )
        ),
    )
    return made


def packed(tmp_path: Path, repository: Mapping[str, bytes]) -> Path:
    files = {f"tk_r_em-1.0.4/{name}": content for name, content in repository.items()}
    return archive(tmp_path / "tk_r_em-1.0.4.tar.gz", files)


def test_the_layers_of_a_saved_model_fill_the_network(small: nn.Module) -> None:
    read = tensors(list(bundle(variables(small))))
    own = small.state_dict()
    assert read.keys() == own.keys()
    assert all(torch.equal(read[name], own[name]) for name in own)


def test_a_layer_that_is_missing_or_of_another_shape_is_named(small: nn.Module) -> None:
    good = variables(small)
    name = "layer_with_weights-3/kernel"
    with pytest.raises(WeightsError, match=f"{name} is missing"):
        tensors(list(bundle({key: value for key, value in good.items() if key != name})))
    with pytest.raises(WeightsError, match=rf"{name} has shape \(2, 2, 3, 3\)|{name} has shape"):
        tensors(list(bundle(good | {name: good[name][..., :-1]})))
    with pytest.raises(WeightsError, match="extra has no place"):
        tensors(list(bundle(good | {"extra": np.zeros(3, np.float32)})))


def test_an_imported_network_is_used_by_name(
    repository: dict[str, bytes], small: nn.Module, tmp_path: Path
) -> None:
    source = packed(tmp_path, repository)
    assert "r-em-hr-stem" not in weights.models_for(("denoise",))
    with pytest.raises(ValueError, match="models import r-em-hr-stem"):
        weights.resolve("r-em-hr-stem")
    assert weights.import_foreign("r-em-hr-stem", source) == "r-em-hr-stem"
    assert "r-em-hr-stem" in weights.models_for(("denoise",))
    row = atomseg.models().set_index("name").loc["r-em-hr-stem"]
    assert row["foreign"]
    assert row["downloaded"]
    assert row["licence"] == "GPL-3.0"
    image = np.random.default_rng(1).normal(size=(80, 96)).astype(np.float32)
    image[68:] = -4.0  # A band below, which the network sees, too.
    unit = (image - image.mean()) / image.std()
    with torch.inference_mode():
        correction = small(torch.from_numpy(unit)[None, None])[0, 0].numpy()
    expected = (unit + correction) * image.std() + image.mean()
    np.testing.assert_allclose(atomseg.restore(image, model="r-em-hr-stem"), expected, atol=1e-5)


def test_networks_for_any_contrast_see_images_as_recorded(
    repository: dict[str, bytes], tmp_path: Path
) -> None:
    weights.import_foreign("r-em-hr-tem", packed(tmp_path, repository))
    image = np.random.default_rng(1).gamma(1.0, size=(40, 48)).astype(np.float32)
    bright, dark = (
        atomseg.restore(image, model="r-em-hr-tem", contrast=contrast)
        for contrast in ("bright", "dark")
    )
    np.testing.assert_array_equal(bright, dark)


def test_an_imported_network_is_in_full_precision_and_exported_and_imported_again(
    repository: dict[str, bytes], small: nn.Module, tmp_path: Path
) -> None:
    weights.import_foreign("r-em-lr-sem", packed(tmp_path, repository))
    network, described = load_weights(weights.resolve("r-em-lr-sem"))
    assert described == card("lr-sem")
    assert all(
        torch.equal(a, b) for a, b in zip(network.parameters(), small.parameters(), strict=True)
    )
    copy = weights.export_model("r-em-lr-sem", tmp_path / "r-em-lr-sem.safetensors")
    weights.remove_model("r-em-lr-sem")
    assert weights.find_file("r-em-lr-sem") is None
    assert weights.import_model(copy) == "r-em-lr-sem"


def test_a_second_import_replaces_the_first_but_no_other_model(
    repository: dict[str, bytes], tmp_path: Path, cache: Path
) -> None:
    source = packed(tmp_path, repository)
    weights.import_foreign("r-em-hr-sem", source)
    before = weights.resolve("r-em-hr-sem").read_bytes()
    weights.import_foreign("r-em-hr-sem", source)
    assert weights.resolve("r-em-hr-sem").read_bytes() == before
    own = cache / "models" / "r-em-hr-stem.safetensors"
    own.write_bytes(before)
    with pytest.raises(ValueError, match="rename it first"):
        weights.import_foreign("r-em-hr-stem", source)


RECIPE = """\
name: tuned
steps: 1
batch: 1
crop: 32
validate_every: 1
validation: 1
tasks: [denoise]
optimizer: {rate: 1.0e-12}
network: {name: cgrdn}
"""


def test_an_imported_network_starts_a_training_and_is_compared_by_name(
    repository: dict[str, bytes], small: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights.import_foreign("r-em-hr-stem", packed(tmp_path, repository))
    monkeypatch.chdir(tmp_path)
    Path("tuned.yaml").write_text(RECIPE)
    done = CliRunner().invoke(app, ["train", "tuned.yaml", "--initial", "r-em-hr-stem"])
    assert done.exit_code == 0, done.output
    tuned, described = load_weights(tmp_path / "tuned.safetensors")
    assert described.recipe["initial"] == "r-em-hr-stem.safetensors"
    for name, tensor in small.state_dict().items():
        torch.testing.assert_close(tuned.state_dict()[name], tensor, atol=1e-3, rtol=1e-3)
    table = evaluate(["r-em-hr-stem"], ["columns"], ["raw"], images=1, shape=(48, 48))
    assert "r-em-hr-stem" in table.to_string()


@pytest.mark.usefixtures("cache")
def test_an_archive_with_other_arrays_is_refused(tmp_path: Path) -> None:
    names = [file.path for file in r_em.files("hr-stem")]
    sizes = [file.size for file in r_em.files("hr-stem")]
    other = {f"top/{name}": bytes(size) for name, size in zip(names, sizes, strict=True)}
    with pytest.raises(WeightsError, match="wrong SHA-256"):
        weights.import_foreign("r-em-hr-stem", archive(tmp_path / "a.tar.gz", other))
    assert weights.find_file("r-em-hr-stem") is None


@pytest.fixture
def public(
    repository: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, bytes]]:
    """The repository on a server."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = repository.get(self.path.removeprefix("/r_em/"))
            if content is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Keep the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setattr(r_em, "BASE", f"http://127.0.0.1:{server.server_port}/r_em")
    yield repository
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_licence_is_shown_before_the_first_download_only(
    public: dict[str, bytes], cache: Path
) -> None:
    with pytest.raises(weights.LicenceError, match=r"(?s)GPL-3.0: https.*cite I. Lobato"):
        weights.import_foreign("r-em-hr-stem")
    assert weights.licence_is_new("r-em-lr-stem")
    weights.import_foreign("r-em-hr-stem", accepted=True)
    assert not weights.licence_is_new("r-em-lr-stem")
    weights.import_foreign("r-em-lr-stem")
    left = [path.name for path in cache.rglob("*") if path.is_file()]
    assert sorted(left) == ["r-em-hr-stem.safetensors", "r-em-lr-stem.safetensors"]


def test_a_changed_file_is_not_downloaded(public: dict[str, bytes]) -> None:
    for name in public:
        public[name] = bytes(len(public[name]))
    with pytest.raises(WeightsError, match=r"wrong SHA-256.*tk_r_em-1.0.4.tar.gz"):
        weights.import_foreign("r-em-hr-stem", accepted=True)
    assert weights.find_file("r-em-hr-stem") is None


def test_the_command_asks_about_the_licence(public: dict[str, bytes]) -> None:
    run = CliRunner().invoke
    refused = run(app, ["models", "import", "r-em-hr-stem"], input="n\n")
    assert refused.exit_code != 0
    assert "GPL-3.0" in refused.output
    assert weights.find_file("r-em-hr-stem") is None
    agreed = run(app, ["models", "import", "r-em-hr-stem"], input="y\n")
    assert agreed.exit_code == 0, agreed.output
    again = run(app, ["models", "import", "r-em-lr-stem"])
    assert again.exit_code == 0, again.output
    assert "Download it?" not in again.output


def test_the_command_imports_several_from_one_archive(
    repository: dict[str, bytes], tmp_path: Path
) -> None:
    source = str(packed(tmp_path, repository))
    done = CliRunner().invoke(app, ["models", "import", "r-em-hr-stem", "r-em-hr-tem", source])
    assert done.exit_code == 0, done.output
    assert weights.find_file("r-em-hr-tem") is not None
    listed = CliRunner().invoke(app, ["models"]).output
    assert "r-em-hr-tem  TEM" in listed
    assert "to import" in listed


class PublishedUNet(nn.Module):
    """AtomSegNet's U-Net with the names and the order of the published code (Lin et al. 2021)."""

    def __init__(self) -> None:
        super().__init__()
        for level, (before, width) in {1: (1, 64), 2: (64, 128), 4: (128, 256)}.items():
            self.double(level, before, width)
        for level, deep, width in ((4, 256, 128), (7, 128, 64)):
            setattr(self, f"upconv{level}", nn.Conv2d(deep, width, 1))
            setattr(self, f"bn{level}", nn.BatchNorm2d(width))
            setattr(self, f"bn{level}_out", nn.BatchNorm2d(2 * width))
        self.double(7, 256, 128)
        self.double(9, 128, 64)
        self.conv9_3 = nn.Conv2d(64, 1, 1)
        self.bn9_3, self.bn9 = nn.BatchNorm2d(1), nn.BatchNorm2d(1)

    def double(self, level: int, before: int, width: int) -> None:
        for number, channels in ((1, before), (2, width)):
            setattr(self, f"conv{level}_{number}", nn.Conv2d(channels, width, 3, padding=1))
            setattr(self, f"bn{level}_{number}", nn.BatchNorm2d(width))

    def twice(self, level: int, x: Tensor) -> Tensor:
        for number in (1, 2):
            norm = getattr(self, f"bn{level}_{number}")
            x = functional.relu(norm(getattr(self, f"conv{level}_{number}")(x)))
        return x

    def rise(self, level: int, x: Tensor, other: Tensor) -> Tensor:
        finer = functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
        finer = getattr(self, f"bn{level}")(getattr(self, f"upconv{level}")(finer))
        joined: Tensor = getattr(self, f"bn{level}_out")(torch.cat((other, finer), 1))
        return joined

    def forward(self, x: Tensor) -> Tensor:
        first = self.twice(1, x)
        second = self.twice(2, functional.max_pool2d(first, 2))
        third = self.twice(4, functional.max_pool2d(second, 2))
        up = self.twice(7, self.rise(4, third, second))
        up = self.twice(9, self.rise(7, up, first))
        return torch.sigmoid(self.bn9(functional.relu(self.conv9_3(up))))


class Block(nn.Module):
    def __init__(self, before: int, width: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(before, width, 3, padding=1), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.bn2(self.conv2(x)))


class PublishedNested(nn.Module):
    """The nested U-Net likewise: block i_j is of level i and sees j earlier results of it."""

    WIDTHS = (32, 64, 128, 256, 512)

    def __init__(self) -> None:
        super().__init__()
        for level, width in enumerate(self.WIDTHS):
            before = self.WIDTHS[level - 1] if level else 1
            setattr(self, f"conv{level}_0", Block(before, width))
            for column in range(1, 5 - level):
                many = column * width + self.WIDTHS[level + 1]
                setattr(self, f"conv{level}_{column}", Block(many, width))
        self.final = nn.Conv2d(32, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        made = {}
        for level in range(5):
            seen = functional.max_pool2d(made[level - 1, 0], 2) if level else x
            made[level, 0] = getattr(self, f"conv{level}_0")(seen)
        for column in range(1, 5):
            for level in range(5 - column):
                deep = functional.interpolate(made[level + 1, column - 1], scale_factor=2)
                earlier = [made[level, each] for each in range(column)]
                block = getattr(self, f"conv{level}_{column}")
                made[level, column] = block(torch.cat([*earlier, deep], 1))
        return torch.tanh(self.final(made[0, 4]))


def lively(network: nn.Module) -> nn.Module:
    """The network with statistics of its normalisations that are not those of a new one."""
    torch.manual_seed(3)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for tensor in (layer.weight.data, layer.running_var):
                tensor.uniform_(0.5, 1.5)  # type: ignore[union-attr, operator]
            for tensor in (layer.bias.data, layer.running_mean):
                tensor.normal_(0.0, 0.2)  # type: ignore[union-attr, operator]
    return network.eval()


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize(
    ("make", "file", "prefix"),
    [
        (PublishedUNet, "denoise.pth", ""),
        pytest.param(PublishedNested, "Gen1-noNoise.pth", "module.", marks=pytest.mark.slow),
    ],
)
def test_a_network_of_atomsegnet_gives_what_the_published_one_gives(
    tmp_path: Path, make: Any, file: str, prefix: str
) -> None:
    published = lively(make())
    state = {prefix + key: value for key, value in published.state_dict().items()}
    torch.save(state, tmp_path / file)
    name = weights.import_model(tmp_path / file)
    image = np.random.default_rng(2).gamma(2.0, size=(32, 32)).astype(np.float32)
    low, span = image.min(), np.ptp(image)
    with torch.inference_mode():
        scaled = torch.from_numpy((image - low) / span)[None, None]
        expected = published(scaled)[0, 0].numpy() * span + low
    restored = atomseg.restore(image, model=name, contrast="bright")
    # Small images are restored with their hot pixels left out: the network itself is compared.
    predictor = Predictor(weights.resolve(name))
    scope = predictor.magnifications(image, ("denoise",))
    made = predictor.maps(image, ("denoise",), scope).whole["denoise"]
    np.testing.assert_allclose(made, expected, atol=1e-4 * span)
    assert restored.shape == image.shape
    assert read_card(weights.resolve(name)).licence == "MIT"


@pytest.mark.usefixtures("cache")
def test_masks_of_atomsegnet_are_probabilities(tmp_path: Path) -> None:
    torch.save(lively(PublishedUNet()).state_dict(), tmp_path / "circularMask.pth")
    name = weights.import_model(tmp_path / "circularMask.pth")
    assert name == "atomsegnet-mask"
    assert name in weights.models_for(("column_mask",))
    image = np.random.default_rng(2).gamma(2.0, size=(32, 36))
    mask = predict(image, ("column_mask",), model=name).maps["column_mask"]
    assert mask.shape == image.shape
    assert 0.0 <= mask.min() <= mask.max() <= 1.0


@pytest.mark.usefixtures("cache")
def test_what_is_not_atomsegnets_is_refused_and_says_which(tmp_path: Path) -> None:
    good = PublishedUNet().state_dict()
    file = tmp_path / "denoise.pth"

    def refused(content: Any, words: str) -> None:
        torch.save(content, file)
        with pytest.raises(WeightsError, match=words):
            weights.import_model(file)

    refused({k: v for k, v in good.items() if k != "conv7_1.bias"}, "conv7_1.bias is missing")
    refused(good | {"upconv4.weight": torch.zeros(1)}, r"upconv4.weight has shape \(1,\), expected")
    refused(good | {"more.weight": torch.zeros(1)}, "more.weight has no place")
    refused(good | {"bn9.bias": torch.tensor([torch.nan])}, "bn9.bias has values")
    refused([1, 2], "not a dictionary of tensors")
    refused(PublishedNested().final.state_dict(), "is missing; AtomSegNet's U-Net has it")
    assert weights.models_for(("denoise",)).count("atomsegnet-denoise") == 0


class Trap:
    """An object whose unpickling writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.mark.usefixtures("cache")
def test_nothing_in_a_file_is_executed(tmp_path: Path) -> None:
    trace = tmp_path / "executed"
    torch.save({"conv1_1.weight": Trap(trace)}, tmp_path / "denoise.pth")
    with pytest.raises(WeightsError, match="not a dictionary of tensors"):
        weights.import_model(tmp_path / "denoise.pth")
    assert not trace.exists()


@pytest.mark.usefixtures("cache")
def test_a_file_that_is_too_large_is_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save({"a": torch.zeros(10_000)}, tmp_path / "denoise.pth")
    monkeypatch.setattr(atomsegnet, "LARGEST_FILE", 1000)
    with pytest.raises(WeightsError, match="larger than"):
        weights.import_model(tmp_path / "denoise.pth")


@pytest.mark.usefixtures("cache")
def test_a_file_of_an_unknown_name_needs_one(tmp_path: Path) -> None:
    path = tmp_path / "mine.pth"
    torch.save(lively(PublishedUNet()).state_dict(), path)
    with pytest.raises(WeightsError, match="models import atomsegnet-denoise mine"):
        weights.import_model(path)
    done = CliRunner().invoke(app, ["models", "import", "atomsegnet-map", str(path)])
    assert done.exit_code == 0, done.output
    assert read_card(weights.resolve("atomsegnet-map")).tasks == ("column_map",)


@pytest.mark.usefixtures("cache")
def test_weights_of_atomsegnet_are_not_downloaded() -> None:
    with pytest.raises(ValueError, match=r"file denoise.pth of the folder model_weights"):
        weights.import_foreign("atomsegnet-denoise")
    with pytest.raises(ValueError, match="no model to import"):
        weights.import_foreign("another")
