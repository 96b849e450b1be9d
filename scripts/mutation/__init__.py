"""Mutation analysis: small changes of the workers' source, each judged by simulated runs and scenarios.

`operators` and `variables` make the mutants of a source, `population` those of all modules. `recording` runs the
correct workers and notes which lines each run executes; `simulated` and `wire` run a mutant on what reaches its line;
`judge` calls them, the cheapest first. Nothing in the checkout changes: `worker` and the simulation's loader plant a
mutant when its module is imported. docs/mutation.md has the results.
"""
