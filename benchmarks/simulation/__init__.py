"""How near simulated images come to multislice and to measured images."""
