"""Forms and their inputs, made from settings."""
