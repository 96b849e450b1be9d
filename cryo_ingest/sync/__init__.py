"""Jobs: one file that describes a chain's datasets, and the engine that publishes all their ranges.

A job is the platform's `chain_sync` file. `job_file` reads it, `derived` computes dataset ids, config hashes and
payloads, `plan` compares it with what is published. The worker does not use this package.
"""
