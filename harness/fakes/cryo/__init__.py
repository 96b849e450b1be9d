"""A fake Cryo: the command line of Cryo 0.3.2 over the deterministic chain. What it does not model it refuses."""
