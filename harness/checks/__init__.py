"""One check for each clause of the contract: a function from the evidence of one history to violations.

A check returns `NOT_EXERCISED` where its clause does not apply to the history, and raises `Inconclusive` where the
store can't show it. No check relies on what a worker reports: names, prefixes and rows are computed from the contract
and the chain.
"""
