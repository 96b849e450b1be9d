"""The conformance kit: profiles, the list of known failures, the smoke test, and the commands that use them."""
