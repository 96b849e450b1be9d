"""A world in a box for workers that extract chain data: fakes that real Cryo cannot tell from a node, stores, verdicts.

Nothing here imports `cryo_ingest`: what is judged does not help to judge.
"""
