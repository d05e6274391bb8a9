"""Stacks that are not in memory give what the same stacks in memory give, frame by frame."""

from __future__ import annotations

from collections import Counter
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
import pytest

from napari_atomseg.inference import predict, restore
from napari_atomseg.inference.scale import Contrasts, agreed_contrasts, sampled_frames
from napari_atomseg.inference.stacks import Frames, merged_notes
from napari_atomseg.localization import localize, segment
from napari_atomseg.localization.refit import refine_columns
from napari_atomseg.simulation import simulate


@pytest.fixture(scope="module")
def stack() -> Any:
    """Two channels of three frames; the second has dark columns, one frame a hot pixel."""
    scene = simulate("SrTiO3", shape=(56, 64), sampling=0.2, dose=2e4, seed=3)
    frames = np.stack([np.roll(scene.image, k, 0) for k in range(3)]).astype(np.float32)
    frames[1, 20, 30] = 50 * frames.max()
    return np.stack([frames, -frames])


@pytest.fixture
def lazy(stack: Any) -> Any:
    return da.from_array(stack, chunks=(1, 2, -1, 32))


@pytest.mark.parametrize("options", [{}, {"task": "upinterpolation", "contrast": "bright"}])
def test_lazy_stacks_are_restored_as_those_in_memory(
    stack: Any, lazy: Any, options: dict[str, Any]
) -> None:
    made = restore(lazy, sampling=0.2, **options)
    assert made.chunksize[:2] == (1, 1)
    whole = restore(stack, sampling=0.2, **options)
    np.testing.assert_array_equal(made.compute(scheduler="synchronous"), whole)


@pytest.mark.slow
def test_lazy_stacks_are_segmented_as_those_in_memory(stack: Any, lazy: Any) -> None:
    made = segment(lazy, sampling=0.2, sensitivity=0.0)
    whole = segment(stack, sampling=0.2, sensitivity=0.0)
    np.testing.assert_array_equal(made.compute(scheduler="synchronous"), whole)
    assert whole.max() > 10


@pytest.mark.parametrize("detector", [pytest.param("network", marks=pytest.mark.slow), "peaks"])
def test_lazy_stacks_are_localized_as_those_in_memory(stack: Any, lazy: Any, detector: Any) -> None:
    options: dict[str, Any] = {"detector": detector, "sensitivity": 0.0, "sampling": 0.2}
    whole, made = localize(stack, **options), localize(lazy, **options)
    pd.testing.assert_frame_equal(made, whole, check_exact=True)
    assert set(made["frame"]) == set(range(6))
    assert made.attrs["contrast"] == whole.attrs["contrast"] == ["bright"] * 3 + ["dark"] * 3
    assert any("hot or dead" in note for note in made.attrs["notes"])
    assert set(made.attrs) == set(whole.attrs)


def test_frames_are_read_one_by_one_and_only_when_needed(stack: Any) -> None:
    read: Counter[int] = Counter()

    def block(block_info: Any = None) -> Any:
        number = block_info[None]["chunk-location"][0]
        read[number] += 1
        return stack[0, :1] + number

    many = da.map_blocks(
        block, chunks=((1,) * 2000, (56,), (64,)), dtype=stack.dtype, meta=stack[0, :0]
    )
    frames = Frames(many)
    assert len(frames) == 2000
    assert not read
    np.testing.assert_array_equal(frames[1234].frames[0], stack[0, 0] + 1234)
    np.testing.assert_array_equal(frames.recorded(1234), stack[0, 0] + 1234)
    assert read == {1234: 1}
    columns = pd.DataFrame({"frame": [7, 7], "y": [20.0, 30.0], "x": [20.0, 30.0]})
    refine_columns(many, columns, refine="centroid")
    assert read == {1234: 1, 7: 1}
    read.clear()
    restore(many, sampling=0.2)[3].compute(scheduler="synchronous")
    assert set(read) <= {3, *sampled_frames(2000)}


def test_prediction_of_a_lazy_stack_is_in_memory_and_says_which_frames_are_odd(
    stack: Any, lazy: Any
) -> None:
    made, whole = (predict(each, ("denoise",), sampling=0.2) for each in (lazy, stack))
    np.testing.assert_array_equal(made.maps["denoise"], whole.maps["denoise"])
    assert made.settings == whole.settings
    (note,) = made.notes
    assert note.startswith("frame 1 and 1 more: ")


def test_what_is_no_image_is_refused_before_a_frame_is_read() -> None:
    with pytest.raises(TypeError, match="complex"):
        restore(da.zeros((4, 8, 8), dtype=complex, chunks=1))
    with pytest.raises(ValueError, match="RGB"):
        localize(da.zeros((64, 64, 3), chunks=8))


def test_few_frames_of_a_long_stack_settle_its_contrast() -> None:
    assert sampled_frames(1) == (0,)
    assert sampled_frames(9) == tuple(range(9))
    few = sampled_frames(2000)
    assert few[0] == 0
    assert few[-1] == 1999
    assert 1000 in few
    assert len(few) <= 10
    # A clear frame goes by itself, one in doubt by those that were looked at.
    leanings = np.full(2000, -0.05)
    leanings[list(few)] = -0.25
    leanings[1] = 3.0
    agreed = agreed_contrasts(list(leanings))
    assert agreed[:3] == ("dark", "bright", "dark")
    assert Contrasts.of([0.2, 0.3])(-0.3) == "bright"


def test_notes_that_say_the_same_are_one() -> None:
    notes = [("3 hot pixels",), (), ("1 hot pixel", "2.5 % missing"), ("12 hot pixels",)]
    assert merged_notes(notes) == (
        "frame 0 and 1 more: 3 hot pixels",
        "frame 2: 1 hot pixel",
        "frame 2: 2.5 % missing",
    )
