"""Publishes a proved range in an object store exactly once, even if other attempts write to the same prefix.

`version.py` has a version's keys, `prefix.py` reads what is stored, `upload.py` writes it; the stores are adapters. The
caller passes the proof of a file (`ports.Proof`).
"""
