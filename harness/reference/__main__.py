"""`python -m harness.reference`."""

from harness.reference.cli import main

main()
