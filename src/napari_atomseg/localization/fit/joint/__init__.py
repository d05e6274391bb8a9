"""Joint fits of all columns of an image."""
