"""The production worker: publishes exactly one proved dataset version for each task.

Start reading at `attempt.py`, the steps of an attempt; `cli.py` has the commands. Nothing here imports `harness`.
"""
