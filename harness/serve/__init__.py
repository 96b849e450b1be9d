"""Servers that are started by hand: `cryo-harness serve dispatcher`, `serve s3` and `serve world`."""
