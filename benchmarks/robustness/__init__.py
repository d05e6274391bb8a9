"""Hostile work: damaged files, hundreds of runs, full disks, kills and Ctrl-C."""
