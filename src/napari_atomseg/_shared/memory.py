"""Memory that does not suffice: how libraries say so, and what a user can do."""

from __future__ import annotations

HINT = (
    "close other programs, give the image as float32 or integers in place of float64, or as an "
    "array of dask or Zarr, which is read piece by piece; of networks, choose a smaller tile size"
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of Python, NumPy or PyTorch means that memory does not suffice."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(
        words in text
        for words in (
            "out of memory",
            "not enough memory",
            "can't allocate memory",
            "cannot allocate memory",
            "unable to allocate",
            "could not create a primitive",  # oneDNN has no other words for it
        )
    )


def too_little_memory(what: str, reason: str = "") -> MemoryError:
    """The error for work that memory does not suffice for, with what a user can do.

    Parameters
    ----------
    reason : what was said of the last attempt.
    """
    said = " ".join(reason.split())
    return MemoryError(
        f"{what} needs more memory than there is: {HINT}" + (f" ({said})" if said else "")
    )
