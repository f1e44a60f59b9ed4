"""The shop's pages: each file lists the routes of one part of the shop."""
