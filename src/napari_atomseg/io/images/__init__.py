"""Images from files and to them."""
