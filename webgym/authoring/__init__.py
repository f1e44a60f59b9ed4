"""Tools for authors of tasks: task files, checks, oracles, templates, placeholders, forms."""
