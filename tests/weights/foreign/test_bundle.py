from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_atomseg.networks.card import WeightsError
from napari_atomseg.weights.foreign.bundle import read_bundle

files = import_module("bundles")
bundle, entry, table = files.bundle, files.entry, files.table


def arrays(count: int = 5) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    made = {f"layer-{n}/kernel": rng.normal(size=(3, 3, n + 1, 2)) for n in range(count)}
    made |= {f"layer-{n}/bias": rng.normal(size=n + 1) for n in range(count)}
    return {name: array.astype(np.float32) for name, array in made.items()}


def test_all_variables_come_back_by_name_without_the_description_of_objects() -> None:
    expected = arrays()
    read = read_bundle(*bundle(expected))
    assert read.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(read[name], array)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (entry((4,), 0, 12), "12 bytes do not fit its shape"),
        (entry((2**30,), 0, 2**32), "truncated, or of another model"),
        (entry((5,), 10**6, 20), "truncated, or of another model"),
        (entry((2,), 0, 8, kind=2), "has type 2"),
        (entry((1,), 0, 4), "lie over each other"),
        (entry((1,) * 9, 0, 4), "has 9 axes"),
        (entry((1,), 0, 4)[:-1], "damaged"),
    ],
)
def test_an_entry_that_does_not_fit_its_bytes_is_refused(value: bytes, words: str) -> None:
    with pytest.raises(WeightsError, match=words):
        read_bundle(*bundle(arrays(), other=value))


def test_values_that_are_not_finite_are_refused() -> None:
    broken = arrays() | {"layer-0/bias": np.array([np.nan], np.float32)}
    with pytest.raises(WeightsError, match=r"layer-0/bias has values"):
        read_bundle(*bundle(broken))


def test_truncated_data_are_refused() -> None:
    index, data = bundle(arrays())
    with pytest.raises(WeightsError, match="truncated"):
        read_bundle(index, data[: len(data) // 2])


def test_variables_in_several_files_are_refused() -> None:
    pairs = [(b"", b"\x08\x02"), (b"a" + files.KEY.encode(), entry((1,), 0, 4))]
    with pytest.raises(WeightsError, match="several files"):
        read_bundle(table(pairs), bytes(4))


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 255), st.integers(0, 10**6))
def test_no_damage_of_the_index_does_more_than_a_refusal(place: int, byte: int, end: int) -> None:
    index, data = bundle(arrays(3))
    changed = bytearray(index)
    changed[place % len(index)] = byte
    for damaged in (bytes(changed), index[: end % len(index)]):
        try:
            read = read_bundle(damaged, data)
        except WeightsError:
            continue
        assert sum(array.nbytes for array in read.values()) <= len(data)
