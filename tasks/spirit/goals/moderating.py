"""Goals of a moderator about other people's topics and comments."""

import random

from webgym.authoring.template import Instance

from ..application.content import CATEGORIES, TOPICS
from .goal import due, goal, someone

TITLES = ("Please read this first", "An old question", "Asked and answered", "For beginners", "A long story")


def draw_close(rng: random.Random) -> Instance:
    topic = rng.choice(TOPICS)
    return due({"topic": topic.title}, topics={"changed": {str(topic.id): {"closed": 1}}})


def draw_pin(rng: random.Random) -> Instance:
    topic = rng.choice(TOPICS)
    return due({"topic": topic.title}, topics={"changed": {str(topic.id): {"pinned": 1}}})


def draw_move(rng: random.Random) -> Instance:
    topic = rng.choice(TOPICS)
    category = rng.choice([name for name in CATEGORIES if name != topic.category])
    return due({"topic": topic.title, "category": category}, topics={"changed": {str(topic.id): {"category": category}}})


def draw_rename(rng: random.Random) -> Instance:
    topic, title = rng.choice(TOPICS), rng.choice(TITLES)
    renamed = {str(comment.id): {"topic": title} for comment in topic.comments}  # the comments' rows have the topic's title
    return due({"topic": topic.title, "title": title}, topics={"changed": {str(topic.id): {"title": title}}}, comments={"changed": renamed})


def draw_remove(rng: random.Random) -> Instance:
    topic, comment = someone(rng)
    return due({"topic": topic.title, "user": comment.user}, comments={"changed": {str(comment.id): {"removed": 1}}})


GOALS = [
    goal("close-topic", draw_close),
    goal("pin-topic", draw_pin),
    goal("move-topic", draw_move),
    goal("rename-topic", draw_rename),
    goal("remove-comment", draw_remove),
]
