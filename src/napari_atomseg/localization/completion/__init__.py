"""Columns that the detector missed: searched for in what the fitted columns leave of the image."""
