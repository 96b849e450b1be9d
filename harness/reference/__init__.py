"""The reference worker: a minimal worker that keeps contract.md, with bugs that can be switched on.

It is an independent implementation, written only from docs/contract.md and docs/reference.md; it shares no code with
`cryo_ingest`. It is written to be easy to read and not to be fast: threads, subprocess, whole files in memory.
`python -m harness.reference worker|run -` starts it; `HARNESS_REFERENCE_BUG` switches on one of `bugs.BUGS`.
"""
