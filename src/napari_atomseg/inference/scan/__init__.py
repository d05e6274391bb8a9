"""Scan lines that lie where they should not: measured by a network, and put back."""
