"""Runs Cryo in a staging directory on the local disk. Proving its files is in `prove`."""
