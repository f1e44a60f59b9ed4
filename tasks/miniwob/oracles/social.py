"""The feed of short posts: each is a line with its author's @name, a text, and a row of icons."""

import re

from webgym.authoring.oracle import click, press, quoted, wanted
from webgym.types import Action, Node, Observation

from . import solves

ICONS = {"Reply": "reply", "Retweet": "retweet", "Like": "like", "Share": "share"}


@solves("social-media")
def social_media(page: Observation) -> Action:
    """One icon of a post, or an entry of its menu, which the icon "more" opens."""
    user, label = wanted(page, r'For the user (@\S+), click on the "(.*)" button')
    post = posts(page, user)[0]
    entry = next((n for n in post if n.text == label or n.text == f"{label} {user}"), None)
    if entry:
        return click(entry)
    return click(_icon(post, ICONS.get(label, "more")))


@solves("social-media-all", "social-media-some")
def social_media_some(page: Observation) -> Action:
    """The same icon on all posts by a user, or on a number of them; a chosen icon has the class "active" in its name."""
    label, user = quoted(page)[0], wanted(page, r"by (@\S+) and then click Submit")[0]
    number = re.search(r"on (\d+) post", page.goal)
    icons = [_icon(post, ICONS[label]) for post in posts(page, user)]
    rest = [n for n in icons if "active" not in n.text.split()]
    missing = (int(number[1]) if number else len(icons)) - (len(icons) - len(rest))
    return click(rest[0]) if missing > 0 else press(page, "Submit", "button")


def posts(page: Observation, user: str) -> list[list[Node]]:
    """Things to act on in each post by this user, one list per post."""
    found: list[list[Node]] = []
    ours = False
    for node in page.nodes:
        name = re.search(r"@\S+", node.text)
        if name and node.ref is None:
            ours = name[0] == user
            if ours:
                found.append([])
        elif ours and node.ref is not None:
            found[-1].append(node)
    return found


def _icon(post: list[Node], name: str) -> Node:
    return next(n for n in post if n.text.split()[0] == name)
