"""Recipes of specimens: ranges from which each image draws its own."""
