"""A language model in the role of a policy, and the choice of an iteration's episodes."""
