"""A fake Cryo: the command line of Cryo 0.3.2 over the deterministic chain. It rejects what it does not model."""
