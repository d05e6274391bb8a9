"""The Library panel."""
