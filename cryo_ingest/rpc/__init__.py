"""Requests to nodes: the choice of an endpoint, the client with batches, retries and limits, the parsing of answers.

- `endpoint` picks the pool's endpoint that an attempt reads from (RNG-5);
- `client` sends JSON-RPC over HTTP; `batching` groups calls and retries what failed, `limits` decides when;
- `replies` reads the JSON-RPC envelope, `results` the blocks, logs and receipts inside it.
"""
