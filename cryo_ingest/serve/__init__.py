"""The worker as a service: wake-ups in, claims, leases, completions, shutdown; an attempt itself is `attempt.py`'s."""
