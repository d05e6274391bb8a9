"""The size of a pixel as it is typed."""

from __future__ import annotations

import pytest

from napari_atomseg._shared.sampling import Sampling, read_sampling


@pytest.mark.parametrize(
    ("given", "sampling"),
    [
        ("0.2", 0.2),
        ("0.2 0.1", (0.2, 0.1)),
        ("0.2,0.1", (0.2, 0.1)),
        ("1, 5", (1.0, 5.0)),
        ((0.2, 0.2), 0.2),
    ],
)
def test_one_or_two_numbers_are_read(given: object, sampling: Sampling) -> None:
    assert read_sampling(given) == sampling


@pytest.mark.parametrize("given", ["1,5", " 0,2 "])
def test_a_comma_that_may_be_decimal_is_asked_back(given: str) -> None:
    with pytest.raises(ValueError, match="may be one number or two"):
        read_sampling(given)


@pytest.mark.parametrize("given", ["", "0", "-1", "a", "1 2 3", "nan", "inf"])
def test_what_is_no_size_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match="one or two positive numbers"):
        read_sampling(given)
