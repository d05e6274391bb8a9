"""Positions of columns against their bounds, other fits and measured images."""
