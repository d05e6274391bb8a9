"""Libraries of simulated samples on disk: written, read, searched, checked and downloaded."""
