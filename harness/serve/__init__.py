"""Whole parts of a world started by hand: `cryo-harness serve dispatcher` and `serve world`."""
