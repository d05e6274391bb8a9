"""Words for whoever called the package: warnings at their own line, errors in one line."""

from __future__ import annotations

import sys
import warnings


def warn_caller(message: str) -> None:
    """Warn at the first line on the stack that is not of this package.

    Python then shows the user's own line, once for each, and the command line and napari show the
    sentence.
    """
    package = __name__.partition(".")[0]
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and _is_of(package, frame.f_globals.get("__name__", "")):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, stacklevel=level)


def _is_of(package: str, module: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def one_line(error: BaseException) -> str:
    """The message of an error in one line; the name of its kind where it has none."""
    return " ".join(str(error).split()) or type(error).__name__
