"""Weights: loading, saving, and the preprocessing they expect."""
