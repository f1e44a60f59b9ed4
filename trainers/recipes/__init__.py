"""Recipes: configurations by model size and machine (`webgym recipes`), and the defaults that follow from a model."""
