"""Credit assignment: pure maths on trajectories, and the contract of an algorithm."""
