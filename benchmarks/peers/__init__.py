"""Other packages beside napari-atomseg in one run each, in environments that are made for them."""
