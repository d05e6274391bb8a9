"""What is read from files of microscopes: sizes, kinds, calibrations, or the refusal."""
