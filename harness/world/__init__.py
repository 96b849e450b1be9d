"""The deterministic chain, and the tables that Cryo extracts from it: the oracle that all results are compared with.

This package does not depend on files, protocols or workers.
"""
