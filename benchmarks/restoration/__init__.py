"""Restored images against the truth, beside other programs."""
