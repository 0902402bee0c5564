"""Models and their hyperparameters."""
