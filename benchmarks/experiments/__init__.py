"""Experiments of the papers whose networks are trained here: architectures, losses, AP-GAN."""
