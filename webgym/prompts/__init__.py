"""Observations as prompts: the page as text, messages of parts, the styles `chat` and `compact`."""
