"""Models that others published, converted once into a weights file of this package.

Their weights are not part of this package and have licences of their own. They come from a folder
or archive of the user's, or, after the licence was shown, from the authors' repository.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_atomseg._shared.download import DownloadError
from napari_atomseg.networks.card import ModelCard, WeightsError
from napari_atomseg.progress import CancelToken, Progress, report
from napari_atomseg.weights.foreign import atomsegnet, r_em
from napari_atomseg.weights.foreign.sources import Wanted, fetch_files, read_files, total
from napari_atomseg.weights.registry import Entry
from napari_atomseg.weights.store import add_model, downloads_folder, own_models

if TYPE_CHECKING:
    from torch import Tensor

_Read = Callable[[Path | None, Progress | None, CancelToken | None], "dict[str, Tensor]"]


class LicenceError(PermissionError):
    """Weights are not downloaded before their licence was shown; the message is the notice."""


@dataclass(frozen=True)
class Foreign:
    """A model that others published.

    Attributes
    ----------
    card : of the imported model.
    page, licence_page : addresses of the repository, and of the text of its licence.
    files : what is downloaded of the repository; nothing where it must be given.
    parameters : numbers in the network.
    read : makes the tensors of the network, from a folder or file or, without one, by download.
    """

    card: ModelCard
    page: str
    licence_page: str
    files: tuple[Wanted, ...]
    parameters: int
    read: _Read

    @property
    def name(self) -> str:
        """Name of the imported model."""
        return self.card.name

    @property
    def size(self) -> int:
        """Bytes of a download."""
        return total(self.files)

    def notice(self) -> str:
        """What to know before the weights are downloaded."""
        return (
            f"{self.name}: {self.card.description}\n"
            f"These weights are not part of napari-atomseg. Their licence is {self.card.licence}: "
            f"{self.licence_page}\n"
            f"{self.size / 1e6:.0f} MB are downloaded from {self.card.source}.\n"
            f"If you use it, cite {self.card.citation}."
        )


def _r_em(kind: str) -> Foreign:
    files = r_em.files(kind)

    def read(
        source: Path | None, progress: Progress | None, cancel: CancelToken | None
    ) -> dict[str, Tensor]:
        if source is not None:
            return r_em.tensors(read_files(source, files, cancel))
        folder, message = downloads_folder() / ".r_em", f"downloading r-em-{kind}"
        try:
            contents = fetch_files(r_em.BASE, files, folder, message, progress, cancel)
        except DownloadError as error:
            raise WeightsError(
                f"model r-em-{kind} could not be downloaded ({error}); fetch the source archive "
                f"tk_r_em-1.0.4.tar.gz by any other way, and import it: "
                f"napari-atomseg models import r-em-{kind} tk_r_em-1.0.4.tar.gz"
            ) from error
        return r_em.tensors(contents)

    return Foreign(r_em.card(kind), r_em.PAGE, r_em.LICENCE_PAGE, files, r_em.PARAMETERS, read)


def _atomsegnet(published: atomsegnet.Published) -> Foreign:
    def read(
        source: Path | None, progress: Progress | None, cancel: CancelToken | None
    ) -> dict[str, Tensor]:
        if source is None:
            raise ValueError(
                f"{published.name} must be given: the file {published.file} of the folder "
                f"model_weights of {atomsegnet.PAGE}, as in "
                f"napari-atomseg models import {published.name} '{published.file}'"
            )
        return atomsegnet.tensors(atomsegnet.find(source, published), published)

    parameters = 9_162_753 if published.nested else 1_742_531
    card, page, text = published.card, atomsegnet.PAGE, atomsegnet.LICENCE_PAGE
    return Foreign(card, page, text, (), parameters, read)


def foreign_models() -> dict[str, Foreign]:
    """The models of others that can be imported, by name."""
    every = (*map(_r_em, r_em.KINDS), *map(_atomsegnet, atomsegnet.FILES))
    return {each.name: each for each in every}


def downloadable() -> dict[str, Foreign]:
    """Those of them that can be downloaded."""
    return {name: each for name, each in foreign_models().items() if each.files}


def foreign_entry(name: str) -> Entry:
    """Description of one of the `downloadable` models, by what is downloaded for it."""
    model = downloadable()[name]
    fields = model.card.model_dump(include=set(Entry.model_fields))
    return Entry(
        **fields,
        parameters=model.parameters,
        size=model.size,
        sha256=model.files[-1].sha256,
        urls=tuple(f"{r_em.BASE}/{file.path}" for file in model.files),
    )


def licence_is_new(name: str) -> bool:
    """Whether a download shows the licence: nothing of these authors has been imported yet."""
    model, own = foreign_models()[name], own_models()
    return bool(model.files) and not any(
        other.name in own for other in foreign_models().values() if other.page == model.page
    )


def import_foreign(
    name: str,
    source: str | Path | None = None,
    *,
    accepted: bool = False,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> str:
    """Convert a model that others published into a weights file in the models folder.

    Parameters
    ----------
    name : such as "r-em-hr-stem", see `foreign_models`.
    source : the archive or folder that holds it, or the `.pth` file; None downloads it.
    accepted : whether the user has seen the licence. Only a first download asks for it.

    Returns
    -------
    The name, by which the model can be used from now on. An earlier import is replaced.

    Raises
    ------
    ValueError
        There is no such model, it must be given, or the user has another model of that name.
    LicenceError
        It would be downloaded, and nobody has seen its licence; the message is what to show.
    WeightsError
        The source is not the published one, is damaged, or could not be downloaded.
    Cancelled
        `cancel` was raised; no model is left half-written.
    """
    known = foreign_models()
    if name not in known:
        raise ValueError(f"{name!r} is no model to import; choose one of {', '.join(known)}")
    model = known[name]
    _require_own_place(model)
    if source is None and not accepted and licence_is_new(name):
        raise LicenceError(model.notice())
    path = None if source is None else Path(source).expanduser()
    if path is not None and not path.exists():
        raise WeightsError(f"{path}: no such file or folder")
    report(progress, cancel, 0, 0, f"reading {name}")
    tensors = model.read(path, progress, cancel)
    report(progress, cancel, 0, 0, f"converting {name}")
    _write(model, tensors)
    return name


def _require_own_place(model: Foreign) -> None:
    """An import may only replace an earlier one."""
    from napari_atomseg.networks.card import read_card

    file = own_models().get(model.name)
    if file is not None and read_card(file).source != model.card.source:
        raise ValueError(
            f"you have a model {model.name!r} that is not {model.page}'s: rename it first"
        )


def _write(model: Foreign, tensors: dict[str, Tensor]) -> None:
    from napari_atomseg import networks
    from napari_atomseg.networks.files import load_weights, save_weights

    network = networks.create(model.card.architecture, **model.card.arguments)
    network.load_state_dict(tensors)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{model.name}.safetensors"
        # In full precision: results are those of the published network.
        save_weights(file, network, model.card, half=False)
        load_weights(file)
        add_model(file, model.name, replace=True)
