"""Fits of columns to the image: models, solvers, windows and noise."""
