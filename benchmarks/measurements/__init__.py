"""Counts, zone axes and stated errors of measurements on columns."""
