"""Images built from packages, and containers run from them."""
