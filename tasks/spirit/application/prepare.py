"""Writes the forum's project and its database into the current folder."""

import os
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path

import content
import time_machine

shutil.copytree(Path(__file__).with_name("project"), "project", ignore=shutil.ignore_patterns("__pycache__"))
sys.path.insert(0, os.getcwd())
os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"
HOUR_S = 3600


def main(traveller: time_machine.Traveller) -> None:
    import django

    django.setup()
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
    from django.contrib.sessions.backends.db import SessionStore
    from django.contrib.sessions.models import Session
    from django.core.management import call_command
    from spirit.category.models import Category
    from spirit.comment.models import Comment
    from spirit.core.utils.markdown import Markdown
    from spirit.topic.models import Topic

    call_command("migrate", verbosity=0)
    Category.objects.filter(is_private=False).delete()
    categories = {name: Category.objects.create(title=name) for name in content.CATEGORIES}
    people = {name: get_user_model().objects.create_user(name, f"{name}@example.org", None) for name in content.PEOPLE}
    me = people[content.ME]
    me.st.is_moderator = True
    me.st.save()
    moment = content.CLOCK_S - 1000 * HOUR_S
    for entry in content.TOPICS:
        moment += HOUR_S
        traveller.move_to(moment)
        topic = Topic.objects.create(user=people[entry.user], category=categories[entry.category], title=entry.title)
        assert topic.pk == entry.id
        for comment in entry.comments:
            moment += HOUR_S
            traveller.move_to(moment)
            written = Comment.objects.create(
                user=people[comment.user], topic=topic, comment=comment.text, comment_html=Markdown().render(comment.text)
            )
            assert written.pk == comment.id
            topic.increase_comment_count()
    traveller.move_to(content.CLOCK_S)
    session = {
        SESSION_KEY: str(me.pk),
        BACKEND_SESSION_KEY: "spirit.user.auth.backends.UsernameAuthBackend",
        HASH_SESSION_KEY: me.get_session_auth_hash(),
    }
    Session.objects.create(
        session_key=content.SESSION, session_data=SessionStore().encode(session), expire_date=datetime(2036, 1, 5, tzinfo=UTC)
    )
    call_command("update_index", verbosity=0)
    Path("media").mkdir()
    Path("clock.txt").write_text(f"{content.CLOCK_S}\n", "ascii")


with time_machine.travel(content.CLOCK_S, tick=False) as traveller:
    main(traveller)
