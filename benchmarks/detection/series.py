"""Perovskites with a faint sublattice, at many ratios, doses and magnifications, beside peers.

    python -m benchmarks detection series FOLDER
    python -m benchmarks detection series FOLDER --atomap --r-em rem/bin/python tk_r_em-1.0.4
    python -m benchmarks detection series FOLDER --sources ours --electrons 60 --spacings 16

A cubic crystal has one element on the corners of its cell and another, which scatters 2, 4, 8 or 16
times less, in the middle. It is seen along [001], turned and shifted at random, by our
linear imaging and by abTEM's multislice (10 atoms a column, 60-120 mrad; a cell a ratio is
computed once, in minutes, and kept in FOLDER). Each scan line is displaced by 0.05 Å (rms) along x
and y, then electrons are counted.

- *electrons*: expected in the brightest pixel of the image without noise, background and all, as
  in `restoration images`;
- *spacing*: distance of a bright column to the nearest faint one, pixels. The specimen and the
  probe stay the same (2.76 Å), the pixels change; `--source-size` makes the columns wider;
- *faint*: height of a faint column over a bright one's, as imaged, above the darkest pixel;
- *signal*: electrons of a faint column over the deviation of a matched filter's count of them.
  Below `VISIBLE` a column alone cannot be told from noise; only a lattice of them can.

Recall of the bright and of the faint columns and the precision, per cent, are printed for
`localize`, for blobs (`skimage.feature.blob_log`), and on request for Atomap, where it can be
imported, and for r_em's restoration with maxima and fits, in its own environment (`restoration
peer --help` explains how to make it). A column counts as found within a fifth of the spacing and
1.5 px at least; nothing is counted within a spacing of the border, where Atomap looks for nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import pandas as pd

from benchmarks import options as shared
from benchmarks import tables
from benchmarks.detection import common, finders
from benchmarks.detection.common import Counts, percent
from benchmarks.detection.perovskites import ABTEM, OURS, PROBE, RATIOS, Scene, scenes
from benchmarks.restoration.images import DOSES
from napari_atomseg.evaluation.tasks import VISIBLE

SPACINGS = (6.0, 10.0, 16.0, 25.0, 40.0, 60.0)
EVERY = "all"
AIM = 0.96
"""F1 of scenes whose faint columns are visible one by one."""


def chosen(options: argparse.Namespace) -> dict[str, finders.Finder]:
    """What is compared, by name; prints which peers are missing."""
    ways = {finders.LOCALIZE: finders.ours(options.model)}
    if not options.alone:
        ways[finders.BLOBS] = finders.blobs
    if options.atomap:
        if finders.missing_atomap():
            print("Atomap cannot be imported: no figures of it\n")
        else:
            ways[finders.ATOMAP] = finders.atomap
    if options.r_em:
        absent = [path for path in options.r_em if not path.exists()]
        if absent:
            print(f"r_em: {absent[0]} is not there: no figures of it\n")
        else:
            ways[finders.R_EM] = finders.Restored(options.folder)
    return ways


def measured(
    made: list[Scene], ways: dict[str, finders.Finder], pictures: Path | None
) -> pd.DataFrame:
    """A row each scene and way, with the counts of both kinds."""
    rows = []
    for scene in made:
        for name, find in ways.items():
            points = find(scene)
            bright, faint = (scene.truth.counts(points, kind) for kind in (0, 1))
            rows.append(
                {
                    "source": scene.source,
                    "electrons": scene.electrons,
                    "ratio": scene.ratio,
                    "spacing": scene.spacing,
                    "seen": scene.faint,
                    "signal": scene.signal,
                    "way": name,
                    "bright": bright,
                    "faint": faint,
                    EVERY: scene.truth.counts(points),
                }
            )
            if pictures and name == finders.LOCALIZE:
                title = f"{scene.name}: bright {bright.recall:.2f}, faint {faint.recall:.2f}"
                path = pictures / f"{scene.name}.png"
                common.draw(path, scene.image, points, scene.truth, title)
    return pd.DataFrame(rows)


def lines(table: pd.DataFrame) -> Iterator[dict[str, str]]:
    """Of the printed table: one for each dose of a kind of scenes, ways across."""
    for electrons, cells in table.groupby("electrons", sort=False):
        first, one = cells.iloc[0], cells[cells["way"] == cells["way"].iloc[0]]
        line = {
            "image": str(first["source"]),
            "ratio": f"1:{first['ratio']}",
            "faint": f"{cells['seen'].mean():.3f}",
            "spacing, px": f"{first['spacing']:g}",
            "electrons": f"{electrons:g}",
            "signal": f"{cells['signal'].mean():.1f}",
            "columns": str(total(one, EVERY).true),
        }
        for way, its in cells.groupby("way", sort=False):
            shares = [total(its, kind).recall for kind in ("bright", "faint")]
            shares.append(total(its, EVERY).precision)
            line[str(way)] = " / ".join(percent(share) for share in shares)
        yield line


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """All scenes of a way together, those with visible faint columns apart from the others."""
    rows = []
    for way, its in table.groupby("way", sort=False):
        clear = its["signal"] >= VISIBLE
        for words, some in ((f"≥ {VISIBLE:g}", its[clear]), (f"< {VISIBLE:g}", its[~clear])):
            if some.empty:
                continue
            whole = total(some, EVERY)
            each = some[EVERY].map(lambda counts: counts.f1)
            aimed = words.startswith("≥") and way == finders.LOCALIZE
            rows.append(
                {
                    "way": way,
                    "signal of faint columns": words,
                    "scenes": len(some),
                    "bright, %": percent(total(some, "bright").recall),
                    "faint, %": percent(total(some, "faint").recall),
                    "precision, %": percent(whole.precision),
                    "F1": f"{whole.f1:.3f}",
                    "worst scene's F1": f"{each.min():.3f}",
                    f"scenes with F1 ≥ {AIM:g}": f"{(each >= AIM).sum()}",
                    "aim": f"F1 ≥ {AIM:g}" if aimed else "",
                    "reached": common.reached(whole.f1 >= AIM) if aimed else "",
                }
            )
    return pd.DataFrame(rows)


def total(table: pd.DataFrame, kind: str) -> Counts:
    """Sum of the counts."""
    return sum(table[kind], Counts())


def arguments(parser: argparse.ArgumentParser) -> None:
    """Scenes and peers."""
    shared.folder(parser, "keeps the multislice images, and what r_em makes of the scenes")
    parser.add_argument("--sources", nargs="+", choices=(OURS, ABTEM), default=[OURS, ABTEM])
    parser.add_argument("--ratios", nargs="+", type=int, choices=RATIOS, default=list(RATIOS))
    parser.add_argument("--electrons", nargs="+", type=float, default=list(DOSES))
    parser.add_argument("--spacings", nargs="+", type=float, default=list(SPACINGS), help="px")
    parser.add_argument("--images", type=int, default=1, help="of each kind [%(default)s]")
    parser.add_argument(
        "--source-size", type=float, default=PROBE.source_size, help="Å [%(default)s]"
    )
    parser.add_argument("--alone", action="store_true", help="no blobs")
    parser.add_argument("--atomap", action="store_true", help="Atomap, too")
    parser.add_argument(
        "--r-em", nargs=2, type=Path, metavar=("PYTHON", "PACKAGE"), help="r_em, too"
    )
    common.arguments(parser)


def run(options: argparse.Namespace) -> None:
    """Make the scenes, find and print."""
    options.folder.mkdir(parents=True, exist_ok=True)
    ways = chosen(options)
    made = list(
        scenes(
            options.folder,
            options.sources,
            options.ratios,
            options.spacings,
            options.electrons,
            options.images,
            options.source_size,
        )
    )
    restored = ways.get(finders.R_EM)
    if isinstance(restored, finders.Restored):
        restored.restore(made, *options.r_em)
    print("recall of bright / of faint columns / precision, %\n")
    parts: list[pd.DataFrame] = []
    for _, some in groupby(made, lambda scene: (scene.source, scene.ratio, scene.spacing)):
        parts.append(measured(list(some), ways, options.pictures))
        for line in lines(parts[-1]):
            if len(parts) == 1 and line["electrons"] == f"{options.electrons[0]:g}":
                tables.begin(line)
            tables.line(line.values())
    print()
    table = pd.concat(parts, ignore_index=True)
    tables.show(summary(table), "All scenes by the signal of their faint columns")
