"""Lattices of columns and what follows from them: spacings, displacements and strain."""
