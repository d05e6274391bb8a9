"""Tables of columns from files and to them."""
