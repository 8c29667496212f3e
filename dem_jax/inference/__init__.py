"""How the unknowns are found: warm start, Langevin chains, Monte Carlo EM. Pure functions."""
