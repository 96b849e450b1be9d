"""The smallest worker that keeps contract.md, and the bugs that it can be told to have.

A second opinion: written from contract.md and architecture.md alone, sharing nothing with `cryo_ingest`, and plain to
read rather than fast: threads, subprocess, whole files in memory. `python -m harness.reference worker|run -` starts it;
`HARNESS_REFERENCE_BUG` switches on one of `bugs.BUGS`.
"""
