"""The forum as a site: a Spirit of its own for each session."""

from functools import cache
from pathlib import Path

from webgym.sites import Copy, Sqlite
from webgym.sites.apps.changes import Changes
from webgym.sites.apps.recipe import InstalledServer, Recipe

HOST, DATABASE = "spirit.localhost", "forum.sqlite3"
RECIPE = Recipe("spirit", Path(__file__).with_name("application"))
USER = "join auth_user as u on u.id ="
TOPIC = "join spirit_topic_topic as topic on topic.id ="
QUERIES = {
    "topics": "select topic.id as key, topic.title, category.title as category, u.username as user, topic.is_pinned as pinned, "
    f"topic.is_closed as closed, topic.is_removed as removed from spirit_topic_topic as topic {USER} topic.user_id "
    "join spirit_category_category as category on category.id = topic.category_id",
    "comments": "select c.id as key, topic.title as topic, u.username as user, replace(c.comment, char(13), '') as text, "
    f"c.is_removed as removed from spirit_comment_comment as c {TOPIC} c.topic_id {USER} c.user_id where c.action = 0",
    "likes": f"select l.id as key, l.comment_id as comment, u.username as user from spirit_comment_like_commentlike as l {USER} l.user_id",
    "favorites": "select f.id as key, topic.title as topic, u.username as user from spirit_topic_favorite_topicfavorite as f "
    f"{TOPIC} f.topic_id {USER} f.user_id",
    "flags": "select f.id as key, f.comment_id as comment, u.username as user, f.reason from spirit_comment_flag_flag as f "
    f"{USER} f.user_id",
    "invited": "select p.id as key, topic.title as topic, u.username as user from spirit_topic_private_topicprivate as p "
    f"{TOPIC} p.topic_id {USER} p.user_id",
    "people": f"select u.id as key, u.first_name, u.last_name, p.location from spirit_user_userprofile as p {USER} p.user_id",
}


@cache
def site() -> InstalledServer:
    """The forum."""
    return RECIPE.site(
        f"http://{HOST}/",
        ["{python}", "{wsgi}", "project.wsgi:application", "{port}"],
        reset=[Sqlite(DATABASE), Copy("clock.txt")],
        readers={"changes": Changes(DATABASE, RECIPE.snapshot / DATABASE, QUERIES)},
        same_for_all=["/static/*"],
    )
