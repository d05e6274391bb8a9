"""Measurements: one module each, with its settings and what it reports.

Each is a function, such as ``measurements.strain(columns, radius=20.0)``, a page of the Measure
panel and a command; `measure` calls one by its name.
"""

from importlib import import_module
from pkgutil import iter_modules

from napari_atomseg.measurements.observation import Observation
from napari_atomseg.measurements.registry import MEASUREMENTS, Measurement, measure
from napari_atomseg.measurements.report import Report

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
for _each in sorted(MEASUREMENTS.values(), key=lambda known: (known.order, known.name)):
    # In the order of lists; and the function, not the module of its name.
    MEASUREMENTS[_each.name] = MEASUREMENTS.pop(_each.name)
    globals()[_each.name] = getattr(import_module(_each.run.__module__), _each.name)

__all__ = ["MEASUREMENTS", "Measurement", "Observation", "Report", "measure", *MEASUREMENTS]
