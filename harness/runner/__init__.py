"""Runs a scenario: makes the world, starts the worker, throws the faults, writes the history."""
