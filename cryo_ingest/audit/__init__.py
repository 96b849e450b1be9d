"""Audits published data: `verify` checks versions from their files, `gaps` a dataset from listings.

Neither writes anything.
"""
