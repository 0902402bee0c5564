"""Sweepers: what chooses the values that the jobs of a sweep have."""
