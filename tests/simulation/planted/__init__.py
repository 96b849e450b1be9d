"""Bugs that are planted into our worker, to measure what the simulation finds.

The bugs are patches in the TOML files of this folder. `table` reads them, `loader` applies one of them when the worker
is imported, and `target` is the simulation's target, such as `simulation.planted.target:never-acknowledges`.
"""
