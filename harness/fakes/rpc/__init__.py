"""A JSON-RPC endpoint over the deterministic chain, which real Cryo cannot tell from a node; with faults by script.

`methods.py` answers, `render.py` puts the chain into a node's JSON, `faults.py` spoils answers, `server.py` is the
wire.
"""
