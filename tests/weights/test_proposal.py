"""The proposal of a model: by modality, resolution, task and quality, with its reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import napari_atomseg as atomseg
from napari_atomseg import weights
from napari_atomseg.cli import app
from napari_atomseg.inference import predict
from napari_atomseg.io import write_image
from napari_atomseg.networks.card import read_card
from napari_atomseg.weights import proposal
from napari_atomseg.weights.description import benchmark
from napari_atomseg.weights.store import set_scores

SCORES = {"benchmark_psnr": 24.0, "benchmark_psnr_raw": 16.0, "benchmark_psnr_r_em": 27.5}


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAPARI_ATOMSEG_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cards of which r_em's scores are better."""
    before = proposal.model_entry

    def entry(name: str) -> Any:
        return before(name).model_copy(update={"scores": SCORES})

    monkeypatch.setattr(proposal, "model_entry", entry)


@pytest.mark.parametrize("modality", ["STEM", "TEM", "SEM"])
@pytest.mark.parametrize(("sampling", "kind"), [(None, "hr"), (0.2, "hr"), ((3.0, 3.0), "lr")])
def test_the_model_is_of_the_modality_and_the_resolution(
    modality: Any, sampling: Any, kind: str
) -> None:
    proposed = weights.propose_model(modality, sampling=sampling)
    assert proposed.model == f"restore-{kind}-{modality.lower()}"
    assert read_card(weights.resolve(proposed.model)).modality == modality
    assert proposed.reason.startswith(f"{proposed.model} is for {modality} images")


@pytest.mark.usefixtures("scored")
def test_the_better_network_of_others_is_named_and_taken_where_quality_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    proposed = weights.propose_model("STEM", quality="best")
    assert proposed.model == "restore-hr-stem"
    for words in ("raw image 16.0, restore-hr-stem 24.0, r_em 27.5 dB", "better by 3.5 dB"):
        assert words in proposed.reason
    assert "models import r-em-hr-stem" in proposed.reason
    here = [*weights.models_for(("denoise",)), "r-em-hr-stem"]
    monkeypatch.setattr(proposal, "models_for", lambda _tasks: here)
    assert weights.propose_model("STEM", quality="best").model == "r-em-hr-stem"
    fast = weights.propose_model("STEM")
    assert fast.model == "restore-hr-stem"
    assert "models import" not in fast.reason


def test_a_task_without_a_model_of_the_modality_says_what_the_model_was_trained_on() -> None:
    proposed = weights.propose_model("TEM", "superresolution")
    assert proposed.model == "stem-hr"
    assert "trained on STEM images" in proposed.reason
    assert weights.propose_model("STEM", "superresolution").model == "stem-hr"
    with pytest.raises(ValueError, match="modality='AFM'"):
        weights.propose_model("AFM")  # type: ignore[arg-type]


def test_restore_takes_the_proposal_unless_a_model_is_given(tmp_path: Path) -> None:
    image = np.random.default_rng(0).poisson(20.0, (40, 40)).astype(np.float32)
    proposed = predict(image, model="restore-hr-sem").maps["denoise"]
    np.testing.assert_array_equal(atomseg.restore(image, modality="SEM"), proposed)
    given = predict(image, model="stem-hr").maps["denoise"]
    np.testing.assert_array_equal(atomseg.restore(image, model="stem-hr", modality="SEM"), given)
    write_image(tmp_path / "image.tif", image, None, {})
    done = CliRunner().invoke(app, ["restore", str(tmp_path / "image.tif"), "--modality", "SEM"])
    assert done.exit_code == 0, done.output
    assert "restore-hr-sem is for SEM images at atomic resolution" in done.output.replace("\n", " ")


def test_scores_are_added_to_a_card_and_nothing_else_changes(tmp_path: Path) -> None:
    source = weights.resolve("restore-hr-stem")
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(source.read_bytes())
    set_scores(copy, SCORES)
    before, after = read_card(source), read_card(copy)
    assert after.scores == {**before.scores, **SCORES}
    assert after.model_copy(update={"scores": before.scores}) == before
    image = np.random.default_rng(0).normal(size=(32, 32))
    np.testing.assert_array_equal(
        atomseg.restore(image, model=copy), atomseg.restore(image, model=source)
    )
    assert benchmark(after.scores).endswith("r_em 27.5 dB")
