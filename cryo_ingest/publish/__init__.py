"""Bringing a proved range into an object store exactly once, whatever other attempts do on the same prefix.

`version.py` is where a version lies and whether it is there; `upload.py` brings it there; the stores are adapters. What
counts as whole is a callable from the spine (`ports.Proof`), never decided here.
"""
