"""Columns found and missed, false ones and their error bars, at the limit of the data."""
