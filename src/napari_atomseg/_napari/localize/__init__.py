"""The Localize panel."""
