"""How good measurements on columns are: counts, zone axes, and the errors that are stated.

    python benchmarks/measurements.py --parts counting wedge zones errors

counting: mixtures of cross-sections whose width grows with thickness or does not, counted with one
width and with the likelier one; and the share of counts said to be right beside that which is, in
eight classes that overlap.

wedge: gold [001] of 1 to 4 atoms by multislice with thermal vibrations, counted against a simulated
library by the volumes of Gaussian fits and by integrals of the image; seconds are of the processor.

zones: columns of every crystal of the book, and of three more, along all axes up to index 2, off by
5 pm, and by 2 % of their scale: how often the right axis comes first among the crystal's own.

errors: what is measured less what was planted, over the standard error that is stated: its root
mean square should be 1, with 68 % of the values within one error and 95 % within two.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import pandas as pd
from measurements_counting import calibration, classes
from measurements_errors import over_errors
from measurements_wedge import wedges
from measurements_zones import sweep

from napari_atomseg.evaluation.report import markdown

PARTS: dict[str, list[Callable[[float], pd.DataFrame]]] = {
    "counting": [classes, calibration],
    "wedge": [wedges],
    "zones": [sweep],
    "errors": [over_errors],
}


def main() -> None:
    """Print the tables of the chosen parts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--share", type=float, default=1.0, help="of the simulations, for a trial")
    options = parser.parse_args()
    for part in options.parts:
        start = time.process_time()
        for table in PARTS[part]:
            print(markdown(table(options.share)), flush=True)
        print(f"{part}: {time.process_time() - start:.0f} CPU seconds\n", flush=True)


if __name__ == "__main__":
    main()
