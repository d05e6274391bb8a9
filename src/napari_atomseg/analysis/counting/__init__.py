"""Atoms a column, from scattering cross-sections."""
