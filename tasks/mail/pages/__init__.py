"""The site's pages: each module has the endpoints of one section and their routes."""
