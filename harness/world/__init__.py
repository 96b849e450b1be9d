"""The deterministic chain and its Cryo tables: the oracle."""
