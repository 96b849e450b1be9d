"""Publishes a proved range in an object store exactly once, even if other attempts write to the same prefix.

`version.py` computes a version's keys, `prefix.py` reads what is stored, and `upload.py` writes it. The stores are
adapters. The caller passes the prover of files (`ports.Prover`).
"""
