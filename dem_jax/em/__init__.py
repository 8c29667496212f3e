"""Monte Carlo EM: Langevin chains for the image, an M-step for the kernels. Pure functions."""
