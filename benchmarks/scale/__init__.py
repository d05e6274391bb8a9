"""Memory and time of large images and long films, in one process and on workers."""
