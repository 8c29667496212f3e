"""The first kernel: what EM starts from, found by a classical estimate."""
