"""The Models panel, and the choice of a model in other panels."""
