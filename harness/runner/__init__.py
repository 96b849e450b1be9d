"""Runs a scenario: sets up its world, starts the workers, injects the faults, records the history."""
