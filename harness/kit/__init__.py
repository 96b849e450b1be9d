"""The conformance kit: which scenarios make a profile, the list of known failures, whether the wiring is right."""
