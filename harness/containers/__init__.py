"""Images that are built from packages without an image registry, and their containers, run with testcontainers."""
