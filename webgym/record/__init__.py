"""A run's files: names, trajectories as lines, episodes, the live file."""
