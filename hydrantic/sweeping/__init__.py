"""Sweeps: many runs of one blueprint, planned before the first begins, each in a process of its own."""
