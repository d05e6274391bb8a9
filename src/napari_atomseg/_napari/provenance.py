"""How a layer was made, as it is written into its metadata, and the model that made it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from napari_atomseg import __version__, weights
from napari_atomseg.progress import CancelToken, Progress


def made_by(
    action: str, source: str, settings: dict[str, Any], *, model: str = "", sha256: str = ""
) -> dict[str, Any]:
    """Return the record of one result.

    Parameters
    ----------
    action : "simulate", "restore", "segment" or "localize".
    source : name of the layer, or of the crystal, that it was made from.
    settings : everything needed to make it again.
    model, sha256 : the trained network and the hash of its file, where there was one.
    """
    record = {
        "package": "napari-atomseg",
        "version": __version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "action": action,
        "source": source,
        "settings": {name: _plain(value) for name, value in settings.items()},
    }
    return record | ({"model": model, "sha256": sha256} if model else {})


def fetch_model(model: str | Path | None, progress: Progress, cancel: CancelToken) -> Path:
    """Return the file of a model; a download shows and can be cancelled."""
    progress(0, 0, "loading the model")
    return weights.resolve(model, progress=progress, cancel=cancel)


def identity(weights_file: Path) -> dict[str, str]:
    """Return the name and hash of a model, for `made_by`."""
    from napari_atomseg.networks.card import read_card

    return {"model": read_card(weights_file).name, "sha256": weights.sha256(weights_file)}


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value
