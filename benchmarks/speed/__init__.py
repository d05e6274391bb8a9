"""How fast images are simulated, networks run and trained, and images restored."""
