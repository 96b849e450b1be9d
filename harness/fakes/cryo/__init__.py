"""`fake-cryo`: Cryo 0.3.2's command line over the deterministic chain, as far as a worker uses it."""
