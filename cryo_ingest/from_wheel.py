"""A `cryo` executable over the PyPI wheel of Cryo 0.3.2, which ships none."""
