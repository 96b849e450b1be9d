"""The clauses on which a task's further expectations rest: whether Cryo runs, and what an error message says.

The outcome of a task rests on every clause of its scenario. These expectations don't: under a profile without the
clause that states them, a worker may do something else.
"""

from __future__ import annotations

STATE_WHETHER_CRYO_RUNS = frozenset(
    {"PAY-2", "PAY-4", "RNG-5", "MOD-4", "LAY-10", "CAP-5", "STG-5", "STG-6", "OUT-5", "LSE-3", "LSE-5"}
)
"""Clauses that say when Cryo must not run, or that apply only while it runs."""
STATE_MESSAGES = frozenset({"PAY-2", "PAY-4", "MOD-4", "LAY-11", "LAY-12", "OUT-4", "OUT-6"})
"""Clauses that say what the message of an error contains."""
CHANGE_NO_OUTCOME = frozenset({"STG-8", "OUT-6", "SEC-2"})
"""Clauses that a worker can violate without any effect on how its tasks end."""
