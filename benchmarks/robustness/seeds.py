"""Small valid files of every format that is read, from which damaged ones are made."""

from __future__ import annotations

import struct
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

IMAGE, COLUMNS, WEIGHTS, CRYSTAL = "image", "columns", "weights", "crystal"
RECIPE, TRAINING, WORKFLOW, LIBRARY = "recipe", "training", "workflow", "library"

Make = Callable[[Path], None]
SIDE = 24
SAMPLING = 0.2


def formats() -> dict[str, tuple[str, str, Make]]:
    """By name: what reads it, the name of the file or folder, and what writes it."""
    ours = [".tif", ".hspy", ".h5", ".zarr"]
    made: dict[str, tuple[str, str, Make]] = {
        f"{suffix[1:]} of this package": (IMAGE, f"a{suffix}", _own) for suffix in ours
    }
    made |= {name: (IMAGE, file, make) for name, (file, make) in _IMAGES.items()}
    made |= {name: (COLUMNS, file, make) for name, (file, make) in _TABLES.items()}
    return made | {
        "weights": (WEIGHTS, "a.safetensors", write_weights),
        "crystal, CIF": (CRYSTAL, "a.cif", _crystal),
        "crystal, XYZ": (CRYSTAL, "a.xyz", _crystal),
        "recipe": (RECIPE, "a.yaml", _recipe),
        "recipe of a training": (TRAINING, "a.yaml", _training),
        "workflow": (WORKFLOW, "a.yaml", _workflow),
        "library, folders": (LIBRARY, "library", _library("folders")),
        "library, Zarr": (LIBRARY, "library", _library("zarr")),
    }


def picture(dtype: Any = np.uint16, frames: int = 0) -> Any:
    """A lattice with noise."""
    profile = np.exp(6.0 * (np.cos(2 * np.pi * np.arange(SIDE) / 8.0) - 1.0))
    expected = 20.0 + 200.0 * np.outer(profile, profile)
    shape = (frames, SIDE, SIDE) if frames else (SIDE, SIDE)
    return np.random.default_rng(0).poisson(np.broadcast_to(expected, shape)).astype(dtype)


def table() -> Any:
    """Columns on a lattice, with a text and an error."""
    import pandas as pd

    y, x = np.indices((4, 5)).reshape(2, -1) * 4.0 + 2.25
    frame = pd.DataFrame({"y": y, "x": x, "intensity": y + x, "species": ["Sr", "Ti"] * 10})
    frame.attrs = {"sampling": SAMPLING, "source": "scene"}
    return frame


def _own(path: Path) -> None:
    from napari_atomseg.io import write_image

    write_image(path, picture(np.float32), SAMPLING, {"made": "here"})


def _tiff(data: Any, **options: Any) -> Make:
    def make(path: Path) -> None:
        import tifffile

        tifffile.imwrite(path, data, **options)

    return make


def _pillow(path: Path) -> None:
    import imageio.v3 as imageio

    imageio.imwrite(path, picture(np.uint8))


def _npy(path: Path) -> None:
    np.save(path, picture())


def _by_hand(name: str, *arguments: Any) -> Make:
    """A file of the writers in `tests/io/microscope_files.py`."""

    def make(path: Path) -> None:
        getattr(import_module("tests.io.microscope_files"), name)(path, *arguments)

    return make


def _emi(path: Path) -> None:
    import_module("tests.io.microscope_files").write_emi(path, ["HAADF"])
    import_module("tests.io.microscope_files").write_ser(
        path.with_name(f"{path.stem}_1.ser"), picture(), SAMPLING
    )


def _dm4(path: Path) -> None:
    """Digital Micrograph 4, whose counts have 64 bits."""

    def group(*tags: bytes) -> bytes:
        return struct.pack(">bbq", 1, 0, len(tags)) + b"".join(tags)

    def tag(kind: int, name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">bh", kind, len(name)) + name + struct.pack(">q", len(content)) + content
        )

    def values(*information: int, data: bytes) -> bytes:
        count = len(information)
        return b"%%%%" + struct.pack(f">{count + 1}q", count, *information) + data

    def text(word: str) -> bytes:
        return values(20, 4, len(word), data=word.encode("utf-16-le"))

    def number(value: int) -> bytes:
        return values(3, data=struct.pack("<i", value))

    data = picture(np.float32)
    axis = group(
        tag(21, b"Scale", values(6, data=struct.pack("<f", SAMPLING / 10))),
        tag(21, b"Units", text("nm")),
        tag(21, b"Origin", values(6, data=struct.pack("<f", 0.0))),
    )
    axes = group(tag(20, b"Dimension", group(tag(20, b"", axis), tag(20, b"", axis))))
    content = group(
        tag(20, b"Calibrations", axes),
        tag(21, b"Data", values(20, 6, data.size, data=data.tobytes())),
        tag(21, b"DataType", number(2)),
        tag(20, b"Dimensions", group(tag(21, b"", number(SIDE)), tag(21, b"", number(SIDE)))),
        tag(21, b"PixelDepth", number(4)),
    )
    image = group(
        tag(20, b"ImageData", content), tag(20, b"ImageTags", group()), tag(21, b"Name", text("a"))
    )
    root = group(
        tag(20, b"DocumentObjectList", group()),
        tag(20, b"ImageList", group(tag(20, b"", image), tag(20, b"", image))),
    )
    path.write_bytes(struct.pack(">iqi", 4, len(root) + 8, 1) + root + bytes(8))


def _rosetta(plugin: str, data: Any, *leading: str, **options: Any) -> Make:
    """A file of a writer of RosettaSciIO."""

    def make(path: Path) -> None:
        names = (*leading, "y", "x")
        axes = [
            {
                "name": name,
                "size": size,
                "scale": SAMPLING / 10,
                "offset": 0.0,
                "units": "nm",
                "navigate": place < len(leading),
                "index_in_array": place,
                "is_binned": False,
            }
            for place, (name, size) in enumerate(zip(names, data.shape, strict=True))
        ]
        general = {"General": {"title": "a"}, "Signal": {"signal_type": ""}}
        empty: dict[str, Any] = {}
        signal = {
            "data": data,
            "axes": axes,
            "metadata": general,
            "original_metadata": empty,
            "tmp_parameters": empty,
            "package": "hyperspy",
            "package_version": "2",
            "package_info": {"package": "hyperspy", "package_version": "2"},
            "learning_results": {},
            "models": {},
            "attributes": {"_lazy": False, "ragged": False},
        }
        import_module(f"rsciio.{plugin}").file_writer(path, signal, **options)

    return make


def _blo(path: Path) -> None:
    """A block file of 2 × 2 patterns: note, header, picture of the scan, patterns."""
    head = struct.pack("<6sH3I", b"IMGBLO", 0x0102, 0x1000, 0x2000, 131141)
    head += struct.pack("<5HddIHId", SIDE, 0, 2, 2, 0, 1.0, 1.0, 200_000, 100, 1000, 1.0)
    patterns = b"".join(
        struct.pack("<HI", 0x55AA, n) + picture(np.uint8).tobytes() for n in range(4)
    )
    path.write_bytes(head.ljust(0x1000, b"\0") + bytes(4).ljust(0x1000, b"\0") + patterns)


def _zspy(path: Path) -> None:
    """HyperSpy's layout in Zarr 2."""
    import zarr

    root = zarr.open_group(path, mode="w", zarr_format=2, attributes={"file_format_version": "3.3"})
    group = root.create_group("Experiments/a")
    group.create_array("data", data=picture())
    for place, name in enumerate(("y", "x")):
        axis = group.create_group(f"axis-{place}")
        axis.attrs.update(
            {"name": name, "scale": SAMPLING / 10, "offset": 0.0, "size": SIDE, "units": "nm"}
        )
        axis.attrs.update({"navigate": False, "_type": "UniformDataAxis"})
    for name in ("metadata", "original_metadata"):
        group.create_group(name)


def _mib(path: Path) -> None:
    head = f"MQ1,000001,00384,01,{SIDE:04d},{SIDE:04d},U16,   1x1,01,2020-01-01 00:00:00,0.001,"
    head += "0,0,0,1.2E2," + "0," * 20 + "2020-01-01T00:00:00.000000000Z,1.0E6ns,12,12"
    path.write_bytes(head.encode().ljust(384, b"\0") + picture().astype(">u2").tobytes())


def _hdf5(**options: Any) -> Make:
    def make(path: Path) -> None:
        import h5py

        with h5py.File(path, "w") as file:
            file.create_dataset("group/image", data=picture(frames=2), **options)
            file["group"].attrs["units"] = "nm"
            file["other"] = np.arange(5.0)

    return make


def _velox(path: Path) -> None:
    import json

    import h5py

    described = {
        "BinaryResult": {
            "PixelSize": {"width": 2e-11, "height": 2e-11},
            "PixelUnitX": "m",
            "PixelUnitY": "m",
            "Detector": "HAADF",
        }
    }
    content = np.frombuffer(json.dumps(described).encode().ljust(2000, b"\0"), np.uint8)
    with h5py.File(path, "w") as file:
        file["Version"] = np.array([b'{"format": "Velox", "version": "5"}'])
        image = file.create_group("Data/Image/0f")
        image["Data"] = picture()[..., None]
        image["Metadata"] = content[:, None]


def _ndata(path: Path) -> None:
    import io
    import json
    import zipfile

    stream = io.BytesIO()
    np.save(stream, picture(np.float32))
    axis = {"offset": 0.0, "scale": SAMPLING / 10, "units": "nm"}
    about = {"title": "a", "dimensional_calibrations": [axis, axis]}
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("data.npy", stream.getvalue())
        file.writestr("metadata.json", json.dumps(about))


def _matlab(compressed: bool) -> Make:
    def make(path: Path) -> None:
        from scipy.io import savemat

        places = np.stack([table()["x"], table()["y"]], axis=1)
        content = {"input": {"obs": picture(float), "dx": SAMPLING, "coordinates": places}}
        output = {"coordinates": places, "volumes": places[:, 0]}
        savemat(path, {**content, "output": output}, do_compression=compressed)

    return make


def _text(separator: str, **options: Any) -> Make:
    def make(path: Path) -> None:
        np.savetxt(path, picture(), fmt="%d", delimiter=separator, **options)

    return make


def _columns(path: Path) -> None:
    from napari_atomseg.io import write_columns

    write_columns(path, table(), image=picture(np.float32), elements={"Sr": "Sr", "Ti": "Ti"})


def _dialect(names: str, separator: str, point: str = ".", encoding: str = "utf-8") -> Make:
    def make(path: Path) -> None:
        places = table()[["y", "x", "intensity"]].to_numpy()
        lines = ["# units: px", names.replace(",", separator)]
        lines += [
            separator.join(f"{each:.3f}".replace(".", point) for each in row) for row in places
        ]
        path.write_text("\n".join(lines) + "\n", encoding=encoding)

    return make


def write_weights(path: Path) -> None:
    """A small network with its card."""
    from napari_atomseg import networks
    from napari_atomseg.networks.card import ModelCard
    from napari_atomseg.networks.files import save_weights
    from napari_atomseg.networks.schemes import STANDARD

    arguments = {"widths": [4, 8], "channels_out": 1}
    network = networks.create("unet", **arguments)
    card = ModelCard(
        name="a",
        architecture="unet",
        arguments=arguments,
        tasks=("column_map",),
        sampling=(0.1, 0.3),
        normalisation=STANDARD,
    )
    save_weights(path, network, card)


def _crystal(path: Path) -> None:
    from ase.build import bulk
    from ase.io import write

    write(path, bulk("NaCl", "rocksalt", a=5.64))


def _recipe(path: Path) -> None:
    import yaml

    from napari_atomseg.simulation import load_recipe

    recipe = load_recipe("hr-stem").model_dump(mode="json")
    path.write_text(yaml.safe_dump(recipe), encoding="utf-8")


def _training(path: Path) -> None:
    path.write_text(
        "name: a\nsteps: 4\nbatch: 2\ncrop: 32\nvalidation: 2\ntasks: [column_map]\n"
        "network: {name: unet, arguments: {widths: [4, 8]}}\noptimizer: {rate: 1.0e-3}\n"
        "losses:\n  column_map: [{kind: cross_entropy, weight: 1.0}]\n",
        encoding="utf-8",
    )


def _workflow(path: Path) -> None:
    path.write_text(
        "made_with: napari-atomseg 0.1\nsampling: 0.2\nsteps:\n"
        "- {name: fine, action: restore, of: image, settings: {task: denoise}}\n"
        "- {name: columns, action: localize, of: image, settings: {}}\n"
        "- {name: gaps, action: measure spacings, of: columns, settings: {}}\n",
        encoding="utf-8",
    )


def _library(layout: str) -> Make:
    def make(path: Path) -> None:
        from napari_atomseg.simulation.library.read import write_library

        write_library(path, "hr-stem", 2, shape=(32, 32), layout=layout)

    return make


_IMAGES: dict[str, tuple[str, Make]] = {
    "tif, plain": ("a.tif", _tiff(picture())),
    "tif, big endian": ("a.tif", _tiff(picture(), byteorder=">")),
    "tif, tiles, deflate": (
        "a.tif",
        _tiff(picture(), tile=(16, 16), compression="adobe_deflate", predictor=True),
    ),
    "tif, OME": ("a.ome.tif", _tiff(picture(frames=3), ome=True, metadata={"axes": "TYX"})),
    "tif, ImageJ": ("a.tif", _tiff(picture(frames=3), imagej=True)),
    "BigTIFF": ("a.tif", _tiff(picture(np.float32), bigtiff=True)),
    "png": ("a.png", _pillow),
    "jpg": ("a.jpg", _pillow),
    "bmp": ("a.bmp", _pillow),
    "npy": ("a.npy", _npy),
    "ser": ("a.ser", _by_hand("write_ser", picture(), SAMPLING)),
    "ser, series": ("a.ser", _by_hand("write_series", picture(frames=3), 2e-11, 5)),
    "emi": ("a.emi", _emi),
    "dm3": ("a.dm3", _by_hand("write_dm3", picture(), SAMPLING)),
    "dm4": ("a.dm4", _dm4),
    "mrc": ("a.mrc", _by_hand("write_mrc", picture(), SAMPLING)),
    "emd, Berkeley": ("a.emd", _rosetta("emd", picture(np.float32))),
    "emd, Velox": ("a.emd", _velox),
    "hspy": ("a.hspy", _rosetta("hspy", picture(frames=2), "t")),
    "zspy": ("a.zspy", _zspy),
    "HDF5": ("a.h5", _hdf5()),
    "HDF5, chunks, gzip": ("a.hdf5", _hdf5(chunks=(1, 8, 8), compression="gzip")),
    "nxs": ("a.nxs", _hdf5()),
    "mib": ("a.mib", _mib),
    "blo": ("a.blo", _blo),
    "tvips": ("a_000.tvips", _rosetta("tvips", picture(frames=3), "t")),
    "prz": ("a.prz", _rosetta("pantarhei", picture())),
    "unf": ("a.unf", _rosetta("semper", picture(np.float32))),
    "rpl": ("a.rpl", _rosetta("ripple", picture())),
    "app5": ("a.app5", _hdf5()),
    "bcf": ("a.bcf", _by_hand("write_ser", picture(), SAMPLING)),
    "elid": ("a.elid", _by_hand("write_mrc", picture(), SAMPLING)),
    "ndata1": ("a.ndata1", _ndata),
    "mat, image": ("a.mat", _matlab(compressed=False)),
    "txt, image": ("a.txt", _text(" ")),
    "csv, image": ("a.csv", _text(",")),
}
_TABLES: dict[str, tuple[str, Make]] = {
    "csv of this package": ("a.csv", _columns),
    "hdf5, columns": ("a.hdf5", _columns),
    "xyz, columns": ("a.xyz", _columns),
    "cif, columns": ("a.cif", _columns),
    "mat, StatSTEM": ("a.mat", _matlab(compressed=False)),
    "mat, StatSTEM, compressed": ("a.mat", _matlab(compressed=True)),
    "csv, decimal comma": ("a.csv", _dialect("y,x,intensity", ";", ",")),
    "tsv, UTF-16": ("a.tsv", _dialect("y_px,x_px,intensity", "\t", encoding="utf-16")),
    "txt, Latin 1": ("a.txt", _dialect("y,x,höhe", " ", encoding="latin-1")),
    "csv, napari": ("a.csv", _dialect("axis-0,axis-1,intensity", ",")),
    "dat, bars": ("a.dat", _dialect("x [px],y [px],i", "|")),
}
