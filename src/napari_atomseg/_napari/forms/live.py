"""Settings of a panel as a script reads and sets them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from napari_atomseg._napari.forms.form import Form

Forms = Callable[[], tuple[Form, ...]]
"""Gives the forms that a panel shows now."""


class LiveSettings(Mapping[str, Any]):
    """The settings of a panel, as attributes and by name; what is set shows in the form at once.

    ``panel.settings.dose = 2e3``, ``panel.settings["dose"]``, ``dict(panel.settings)``, and
    ``panel.settings.update(dose=2e3, refine="joint")``. A name that the panel does not have, or a
    value that a setting cannot take, is refused.
    """

    def __init__(self, forms: Forms) -> None:
        object.__setattr__(self, "_forms", forms)

    def __getitem__(self, name: str) -> Any:
        return self._form(name, KeyError)[name]

    def __iter__(self) -> Iterator[str]:
        return (name for form in self._forms() for name in form.inputs)

    def __len__(self) -> int:
        return sum(len(form.inputs) for form in self._forms())

    def __getattr__(self, name: str) -> Any:
        return self._form(name, AttributeError)[name]

    def __setattr__(self, name: str, value: Any) -> None:
        self._form(name, AttributeError)[name] = value

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self]

    def __repr__(self) -> str:
        return f"LiveSettings({dict(self)!r})"

    def update(self, **settings: Any) -> None:
        """Set some settings, all or none of them.

        Raises
        ------
        AttributeError
            The panel does not have one of these settings.
        ValueError
            A setting cannot take its value.
        """
        for name in settings:
            self._form(name, AttributeError)
        before = {name: self[name] for name in settings}
        try:
            for name, value in settings.items():
                setattr(self, name, value)
        except (ValueError, TypeError):
            for name, value in before.items():
                setattr(self, name, value)
            raise

    def _form(self, name: str, error: type[Exception]) -> Form:
        for form in self._forms():
            if name in form.inputs:
                return form
        raise error(unknown(name, self))


def unknown(name: str, known: Iterable[str]) -> str:
    """Say that there is no such setting, and which one may be meant."""
    near = get_close_matches(name, list(known), n=1)
    return f"there is no setting {name!r}" + (f": is {near[0]!r} meant?" if near else "")
