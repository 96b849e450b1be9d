"""Simulation: a worker's own service in this process, on virtual time, with every fault at every operation.

A worker is a *target*, a function that runs its service with the doubles of a `Bench`: a store, a queue, a dispatcher,
Cryo, a node, a clock and randomness. The harness imports no worker: a small adapter beside a worker's tests maps the
doubles' plain answers to that worker's interfaces and errors.

Each call of a double is an *operation* with a name and a number, such as `store.create#2`. A *plan* says which
operations fail, and how. The history of a run is a function of the scenario, the seed and the plan. It is judged by the
checks that judge scenarios, and by whether every task ended once the faults were over.
"""
