"""Blind motion deblurring by deep expectation maximization, in JAX."""

__version__ = "0.1.0"
