"""Oracles of the workflows."""
