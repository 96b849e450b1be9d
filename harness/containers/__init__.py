"""Images built from packages, without an image registry, and containers run from them through testcontainers."""
