"""Launchers: what runs the jobs of a sweep, on this machine or on others."""
