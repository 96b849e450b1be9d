"""One check per clause of the contract: a function from the evidence of one history to what it violates.

`NOTHING` says that this history does not show the clause at all, `Inconclusive` that its store can't. No check trusts
what a worker says of itself: rows, names and prefixes are computed here from the chain and the contract.
"""
