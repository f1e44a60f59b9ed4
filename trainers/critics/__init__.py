"""Critics: value models, their fit, and the values that credit is computed from."""
