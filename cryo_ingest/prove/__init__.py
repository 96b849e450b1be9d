"""Proof that a file holds what its chunk calls for, at the level that was asked (RNG-4).

`rows`, from the files alone, is in `rows.py`. The levels `chain` and `receipts`, which ask a node, have their place
here beside it: each is another `ports.Proof` that first proves by rows.
"""
