"""The production worker: one task in, exactly one proved dataset version out.

Start reading at `attempt.py`, the spine. `cli.py` is what users run. Nothing here imports `harness`, which judges it.
"""
