"""Object stores for tests, behind one maker."""
