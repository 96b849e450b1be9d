"""The deterministic chain and the tables that Cryo makes of it: the oracle against which everything else is held.

Knows nothing of files, wires or workers.
"""
