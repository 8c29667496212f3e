"""Solvers that hold no belief about photos: Fourier tools, least squares, deconvolution."""
