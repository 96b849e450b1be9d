"""Proves that a file contains its chunk's rows, at the configured level (RNG-4).

Level `rows`, which needs only the file, is in `rows.py`. The levels `chain` and `receipts`, which first prove by rows
and then compare the rows with a node's answers, are in `chain.py`.
"""
