"""Imitation: demonstrations, and a model that is fitted to them."""
