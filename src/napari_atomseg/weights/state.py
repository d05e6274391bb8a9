"""State dictionaries of PyTorch from files that nobody has looked at: tensors, and nothing else."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from io import BytesIO
from typing import TYPE_CHECKING, Any

from napari_atomseg.networks.card import WeightsError

if TYPE_CHECKING:
    from torch import Tensor

LARGEST = 2**28
"""Bytes of a file, and of what it unpacks to."""


def read_state(content: bytes, where: str) -> dict[str, Tensor]:
    """The tensors of a state dictionary by name; nothing in the file is executed.

    Parameters
    ----------
    content : bytes of the file that `torch.save` wrote.
    where : name of the file, for errors.

    Raises
    ------
    WeightsError
        It is too large, damaged, or anything but a dictionary of tensors.
    """
    import torch

    check_size(len(content), where)
    _check_unpacked(content, where)
    try:
        loaded: Any = torch.load(BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises errors of many kinds on damaged files.
        reason = str(error).strip().partition("\n")[0]
        raise WeightsError(f"{where}: not a dictionary of tensors ({reason})") from error
    if not isinstance(loaded, Mapping) or not all(
        isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in loaded.items()
    ):
        raise WeightsError(f"{where}: not a dictionary of tensors")
    return dict(loaded)


def check_size(size: int, where: str) -> None:
    """Refuse a file that is too large, before it is read.

    Raises
    ------
    WeightsError
        It is.
    """
    if size > LARGEST:
        raise WeightsError(f"{where}: larger than {LARGEST / 1e6:.0f} MB, not a model")


def _check_unpacked(content: bytes, where: str) -> None:
    """A file of newer versions of PyTorch is a zip: what it unpacks to is limited, too."""
    if not zipfile.is_zipfile(BytesIO(content)):
        return
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            size = sum(each.file_size for each in archive.infolist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise WeightsError(f"{where}: damaged ({error})") from error
    if size > LARGEST:
        raise WeightsError(f"{where}: unpacks to {size / 1e6:.0f} MB, not a model")
