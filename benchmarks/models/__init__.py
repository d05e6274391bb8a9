"""Reports, calibrations and pictures of trained models."""
