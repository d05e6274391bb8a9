"""The Simulate panel."""
