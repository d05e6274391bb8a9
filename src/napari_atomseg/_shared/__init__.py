"""Used by every room: units, geometry, files, downloads, devices and measures of images."""
