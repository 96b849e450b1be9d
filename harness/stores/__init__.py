"""Object stores for tests: moto's server as a process, and a proxy that injects faults and can hold requests.

MinIO runs in a container: see `harness.containers`.
"""
