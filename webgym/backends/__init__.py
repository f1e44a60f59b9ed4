"""Backends: what shows pages and performs actions. One folder each, found by discovery."""
