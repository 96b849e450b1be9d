"""All that asks nodes: the choice of an endpoint, the client with batches, retries and limits, the parsing of answers.

- `endpoint` picks the pool's endpoint that an attempt reads from (RNG-5);
- `client` sends JSON-RPC over HTTP; `batching` groups calls and asks again what failed, `limits` says when;
- `replies` reads the JSON-RPC envelope, `results` the blocks, logs and receipts inside it.
"""
