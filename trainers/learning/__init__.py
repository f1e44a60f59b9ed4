"""Losses and the optimiser step."""
