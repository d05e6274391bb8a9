"""TIFF: series, pages and the private tags of microscopes in; images with their scale out."""
