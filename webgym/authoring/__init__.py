"""What an author of tasks writes with: task files, checks, oracles, templates, placeholders, forms."""
