"""``python -m napari_atomseg``: the command line."""

from napari_atomseg.cli import app

if __name__ == "__main__":
    app(prog_name="napari-atomseg")
