from .api import Alignment, align
from .settings import AlignSettings

__all__ = ["AlignSettings", "Alignment", "align"]
