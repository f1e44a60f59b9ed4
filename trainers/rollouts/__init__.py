"""A language model in the role of a policy, and what is played in an iteration."""
