"""Rationale stage, then behavior stage: train, probe and compare, in JAX."""

__version__ = "0.8.1"
