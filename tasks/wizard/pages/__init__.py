"""The pages of the workflows."""
