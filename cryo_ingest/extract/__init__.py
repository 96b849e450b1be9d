"""Cryo as a process, and the local disk that it writes to. Judging what it wrote is `prove`'s."""
