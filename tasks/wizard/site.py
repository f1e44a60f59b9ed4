"""The site of the workflows. Its pages are plain: no script, nothing hidden."""

from pathlib import Path

from webgym.sites.rendered import RenderedSite

from .episode import begin, shown
from .pages import steps

HOST = "wizard.localhost"
SITE = RenderedSite(HOST, Path(__file__).parent, steps.ROUTES, begin=begin, shown=shown, plain=True)
