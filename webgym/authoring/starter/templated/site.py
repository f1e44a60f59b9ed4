"""The site: routes, templates and the state of an episode put together."""

from pathlib import Path

from webgym.sites.rendered import RenderedSite

from .pages import tools
from .shelf import begin, shown

HOST = "PACK.localhost"

# `plain` promises links, texts and buttons alone, which are read without a browser, too (`--backend text`). Leave it out for other pages.
SITE = RenderedSite(HOST, Path(__file__).parent, tools.ROUTES, begin=begin, shown=shown, plain=True)
