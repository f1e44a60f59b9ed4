"""Goals about topics and comments of one's own."""

import random

from webgym.authoring.template import Instance

from ..application.content import CATEGORIES, ME, PEOPLE, TOPICS
from .goal import due, goal, said, someone

REPLIES = ("I agree with that.", "Try it in spring.", "It worked for me at once.", "Ask me again next week.", "That is what I feared.")
TITLES = ("Lost keys at pier 3", "Sunday breakfast", "New lamps on the quay", "Who has a spare pump", "The clock is wrong")
WORDS = ("Please write here if you know more.", "Everybody is welcome.", "I saw it this morning.", "Thank you in advance.")


def draw_reply(rng: random.Random) -> Instance:
    topic, text = rng.choice(TOPICS), rng.choice(REPLIES)
    return due({"topic": topic.title, "text": text}, comments={"added": [said(topic.title, text)]})


def draw_new(rng: random.Random) -> Instance:
    category, title, text = rng.choice(CATEGORIES), rng.choice(TITLES), rng.choice(WORDS)
    row = {"title": title, "category": category, "user": ME, "pinned": 0, "closed": 0, "removed": 0}
    return due({"category": category, "title": title, "text": text}, topics={"added": [row]}, comments={"added": [said(title, text)]})


def draw_like(rng: random.Random) -> Instance:
    topic, comment = someone(rng)
    return due({"topic": topic.title, "user": comment.user}, likes={"added": [{"comment": comment.id, "user": ME}]})


def draw_flag(rng: random.Random) -> Instance:
    topic, comment = someone(rng)
    return due({"topic": topic.title, "user": comment.user}, flags={"added": [{"comment": comment.id, "user": ME, "reason": 0}]})


def draw_mend(rng: random.Random) -> Instance:
    mine = [(topic, comment) for topic in TOPICS for comment in topic.comments if comment.user == ME]
    (topic, comment), text = rng.choice(mine), rng.choice(REPLIES)
    return due({"topic": topic.title, "text": text}, comments={"changed": {str(comment.id): {"text": text}}})


def draw_write(rng: random.Random) -> Instance:
    person, title, text = rng.choice(PEOPLE[1:]), rng.choice(TITLES), rng.choice(WORDS)
    row = {"title": title, "category": "Private", "user": ME, "pinned": 0, "closed": 0, "removed": 0}
    invited = [{"topic": title, "user": name} for name in (person, ME)]
    return due(
        {"person": person, "title": title, "text": text},
        topics={"added": [row]},
        comments={"added": [said(title, text)]},
        invited={"added": invited},
    )


def draw_busier(rng: random.Random) -> Instance:
    while True:
        first, second = rng.sample(TOPICS, 2)
        if len(first.comments) != len(second.comments):
            break
    busier, text = max(first, second, key=lambda topic: len(topic.comments)), rng.choice(REPLIES)
    values = {"first": first.title, "second": second.title, "text": text}
    return due(values, comments={"added": [said(busier.title, text)]})


GOALS = [
    goal("reply", draw_reply),
    goal("new-topic", draw_new),
    goal("like", draw_like),
    goal("flag", draw_flag),
    goal("mend-comment", draw_mend),
    goal("write-to", draw_write),
    goal("busier-topic", draw_busier),
]
