"""The zone axis of a known crystal, found from its columns."""
