"""Where the numbers in the docs come from: `python benchmarks/x.py` from the repository's root."""
