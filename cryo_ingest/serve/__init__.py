"""The worker as a service: wake-ups, claims, leases, completions, shutdown. The attempt itself is in `attempt.py`."""
