"""Trainers of language-model web agents: credit, rows, losses, learner, and one file per algorithm."""
