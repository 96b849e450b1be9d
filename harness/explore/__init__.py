"""Exploration over the wire: every single fault and every kill point of an honest run, for a worker in any language.

An honest run of a scenario shows which requests a worker sends. Each of them is repeated in a generated scenario with
each fault that scenario files can express, and the worker is killed, stopped and paused at each event. The runner runs
these scenarios, and the checks judge them.
"""
