"""``napari-atomseg`` and ``python -m napari_atomseg``: the command line."""

import sys


def main() -> None:
    """Run the command line; Ctrl-C ends it in a line also while it is being imported."""
    cancelled = 130  # as shells have it; see `cli.app.CANCELLED`, which is not there yet
    try:
        from napari_atomseg.cli import app

        app(prog_name="napari-atomseg")
    except KeyboardInterrupt:
        sys.stderr.write("cancelled\n")
        sys.exit(cancelled)


if __name__ == "__main__":
    main()
