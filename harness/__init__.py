"""A test harness for workers that extract chain data: fakes of the platform, stores, faults, and verdicts.

It never imports `cryo_ingest`: the code under test must not influence the verdict.
"""
