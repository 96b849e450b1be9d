"""Looking at what has been published: `verify` judges versions from their files, `gaps` a dataset from listings.

Neither writes anything.
"""
