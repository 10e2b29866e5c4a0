"""How much does the relay cost?  C{python -m benchmarks}: ratios against other proxies, in the same rounds."""
