"""Compare a gate with its version at the merge base, according to git."""
