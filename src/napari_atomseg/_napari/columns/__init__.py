"""The Columns panel."""
