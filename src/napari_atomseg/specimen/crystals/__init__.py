"""Crystals by name and from files, turned along a zone axis and projected."""
