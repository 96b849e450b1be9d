"""Object stores for tests: moto's server as a process, and a proxy that holds requests so that a worker can be killed.

MinIO is a container's business: `harness.containers`.
"""
