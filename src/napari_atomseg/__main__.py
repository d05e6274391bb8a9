"""`python -m napari_atomseg` is the command `napari-atomseg`."""

from napari_atomseg.cli import app

if __name__ == "__main__":
    app()
