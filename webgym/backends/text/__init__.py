"""A browser of plain pages, in Python: the same sites, observations and episodes as in Chromium, thousands of turns a second."""
