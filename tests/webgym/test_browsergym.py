"""BrowserGym's observations: its own functions read them unmodified, and its bids are our refs."""

import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from browsergym.core.env import BrowserEnv
from browsergym.core.task import OpenEndedTask
from browsergym.utils.obs import flatten_axtree_to_str, flatten_dom_to_str, overlay_som, prune_html
from gymnasium.utils.env_checker import check_env
from hypothesis import given
from hypothesis import strategies as st

from tests.documents import session
from webgym import browsergym
from webgym.browsergym import MAX_NESTING, BrowserGymEnv, axtree_object, dom_object, extra_element_properties
from webgym.errors import ConfigError, UnknownTaskError
from webgym.types import Node, Observation

SHOP = (
    Node("text", "Shop"),  # as the title says: still a line of the page
    Node("heading", "Cart (2)"),
    Node("textbox", "Name", ref=0, value="Ann", states=("focused", "required"), box=(0.0, 0.0, 50.0, 10.0)),
    Node("checkbox", "Gift", ref=1, states=("checked",), box=(0.0, 20.0, 10.0, 10.0)),
    Node("checkbox", "Mail", ref=2, box=(0.0, 40.0, 10.0, 10.0)),
    Node("combobox", "Size", ref=3, value="M", box=(0.0, 60.0, 40.0, 10.0)),
    Node("option", "S", ref=4, depth=1, box=(0.0, 60.0, 40.0, 10.0)),
    Node("option", "M", ref=5, states=("selected",), depth=1, box=(0.0, 60.0, 40.0, 10.0)),
    Node("clickable", "trash", ref=6, depth=1, box=(200.0, 0.0, 10.0, 10.0)),
    Node("text", "deep", depth=2),
    Node("button", "Menu", ref=7, states=("disabled", "collapsed"), box=(95.0, 0.0, 10.0, 10.0)),
)
PAGE = Observation("Buy it", "http://shop.test/", "Shop", SHOP)
PROPERTIES = extra_element_properties(SHOP, (100, 100))


def bids(text: str) -> list[int]:
    return [int(bid) for bid in re.findall(r"^\s*\[(\d+)\]", text, re.MULTILINE)]


# --- its functions on our data -----------------------------------------------------------------------------------------------


def test_tree_flattens_to_text():
    expected = """
RootWebArea 'Shop'
	StaticText 'Shop'
	heading 'Cart (2)'
	[0] textbox 'Name' value='Ann', focused, required
	[1] checkbox 'Gift', checked='true'
	[2] checkbox 'Mail', checked='false'
	[3] combobox 'Size' value='M'
		[4] option 'S', selected=False
		[5] option 'M', selected=True
	list ''
		[6] clickable 'trash'
		list ''
			StaticText 'deep'
	[7] button 'Menu', disabled=True, expanded=False"""
    assert flatten_axtree_to_str(axtree_object(PAGE)) == expected.removeprefix("\n")


def test_tree_is_filtered_and_annotated_by_properties():
    text = flatten_axtree_to_str(axtree_object(PAGE), PROPERTIES, with_clickable=True, with_center_coords=True, filter_visible_only=True)
    assert "[0] textbox 'Name' value='Ann', center=\"(25,5)\", clickable, focused" in text
    assert 6 not in bids(text) and "[7] button 'Menu', center=\"(100,5)\", disabled=True" in text
    assert bids(flatten_axtree_to_str(axtree_object(PAGE), PROPERTIES, filter_som_only=True)) == [0, 1, 2, 3, 7]


def test_document_flattens_to_html():
    html = re.sub(r"\s+", " ", flatten_dom_to_str(dom_object(PAGE), PROPERTIES))
    for element in (
        '<input aria-label="Name" bid="0" required="" type="text" value="Ann"/>',
        '<input aria-label="Gift" bid="1" checked="" type="checkbox"/>',
        '<option bid="5" selected=""> M </option>',
        '<ul> <div bid="6"> trash </div> <ul> <span> deep </span> </ul> </ul>',
        '<button aria-expanded="false" bid="7" disabled=""> Menu </button>',
    ):
        assert element in html
    assert "trash" in prune_html(flatten_dom_to_str(dom_object(PAGE), PROPERTIES))


def test_marks_are_drawn_where_things_are():
    blank = np.full((100, 100, 3), 255, np.uint8)
    marked = overlay_som(blank, PROPERTIES)
    assert (marked[60:70, :40] != 255).any() and (marked[80:] == 255).all()


ROLES = st.sampled_from(["text", "button", "combobox", "option", "heading"])


@given(st.lists(st.tuples(ROLES, st.integers(0, 2 * MAX_NESTING)), max_size=30))
def test_every_ref_is_a_bid_once_and_in_order(drawn):
    nodes = tuple(Node(role, f"n{i}", None if role in ("text", "heading") else i, depth=depth) for i, (role, depth) in enumerate(drawn))
    page = Observation("", "", "t", nodes)
    refs = [node.ref for node in nodes if node.ref is not None]
    text = flatten_axtree_to_str(axtree_object(page))
    assert bids(text) == refs and all(f"'n{i}'" in text for i in range(len(nodes)))
    assert [int(bid) for bid in re.findall(r'bid="(\d+)"', flatten_dom_to_str(dom_object(page)))] == refs


def test_a_box_counts_by_its_share_of_the_viewport():
    shares = {bid: found["visibility"] for bid, found in PROPERTIES.items()}
    assert shares == {"0": 1.0, "1": 1.0, "2": 1.0, "3": 1.0, "4": 1.0, "5": 1.0, "6": 0.0, "7": 0.5}
    assert extra_element_properties((Node("button", "x", ref=0),), (9, 9))["0"]["bbox"] is None


# --- in the browser ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def env() -> Iterator[BrowserGymEnv]:
    made = BrowserGymEnv("miniwob.click-test-2", screenshot=False)
    yield made
    made.close()


def bid_of(line: str, observation: dict[str, Any]) -> str:
    found = re.search(rf"\[(\d+)\] {re.escape(line)}", flatten_axtree_to_str(observation["axtree_object"]))
    assert found, line
    return found[1]


def test_keys_are_browsergyms():
    theirs = set(BrowserEnv(OpenEndedTask).observation_space.spaces)  # type: ignore[attr-defined]
    made = BrowserGymEnv("miniwob.click-test-2")
    observation, info = made.reset(seed=0)
    assert set(observation) == set(made.observation_space) == theirs
    assert observation in made.observation_space and observation["screenshot"].shape == (*reversed(made.task.viewport), 3)
    assert "task_info" in info
    made.close()


def test_a_bid_of_the_flattened_tree_is_acted_on(env):
    observation, _ = env.reset(seed=3)
    assert observation["goal"] == "Click button ONE." and "screenshot" not in observation
    bid = bid_of("button 'ONE'", observation)
    action = f"click('{bid}')"
    observation, reward, terminated, truncated, info = env.step(action)
    assert (reward, terminated, truncated, info["task_info"]["outcome"]) == (1.0, True, False, "success")
    assert observation["last_action"] == action and observation["last_action_error"] == ""


def test_an_agent_of_browsergym_fills_a_form():
    made = BrowserGymEnv("miniwob.enter-text", screenshot=False)
    observation, _ = made.reset(seed=1)
    wanted = re.findall(r'"(.+?)"', observation["goal"])[0]
    observation, *_ = made.step(f"I type it.\n```\nfill('{bid_of('textbox', observation)}', '{wanted}')\n```")
    assert f"value='{wanted}'" in flatten_axtree_to_str(observation["axtree_object"])
    assert observation["focused_element_bid"] == bid_of("textbox", observation)
    _, reward, *_ = made.step(f"click('{bid_of('button', observation)}')")
    made.close()
    assert reward == 1.0


def test_what_went_wrong_is_said(env):
    env.reset(seed=0)
    observation, reward, terminated, *_ = env.step("click('999')")
    assert "no element #999" in observation["last_action_error"] and (reward, terminated) == (0.0, False)
    assert env.step("noop()")[0]["last_action_error"] == ""


def test_messages_and_time(env):
    env.reset(seed=0)
    observation, *_ = env.step("send_msg_to_user('Where?')")
    assert observation["elapsed_time"] == 0
    observation, *_ = env.step("noop(1500)")
    assert observation["elapsed_time"] == 1.5
    observation, _, terminated, *_ = env.step("report_infeasible('no way')")
    said = [(message["role"], message["message"]) for message in observation["chat_messages"]]
    assert [role for role, _ in said[:2]] == ["assistant", "user"] and said[1][1] == observation["goal"]
    assert said[2:] == [("assistant", "Where?"), ("infeasible", "no way")] and terminated
    assert [message["timestamp"] - env.task.clock_s for message in observation["chat_messages"]] == [0, 0, 0, 1.5]


def test_tabs_are_pages(env):
    observation, *_ = env.reset(seed=0)
    start = observation["url"]
    assert observation["open_pages_urls"] == (start,) and observation["active_page_index"] == 0
    observation, *_ = env.step("new_tab()")
    assert observation["open_pages_urls"] == (start, "about:blank") and observation["active_page_index"] == 1
    observation, *_ = env.step("tab_focus(0)")
    assert len(observation["open_pages_titles"]) == 2 and observation["url"] == start and observation["active_page_index"] == 0


def test_a_reset_forgets_the_episode(env):
    first, _ = env.reset(seed=5)
    env.step("send_msg_to_user('hello')")
    env.step("noop()")
    again, _ = env.reset(seed=5)
    assert flatten_axtree_to_str(again["axtree_object"]) == flatten_axtree_to_str(first["axtree_object"])
    assert again["chat_messages"] == first["chat_messages"] and again["elapsed_time"] == 0 and again["last_action"] == ""


def test_gymnasium_accepts_it():
    (task_id,) = browsergym.register(["miniwob.click-test-2"])
    made = gym.make(task_id, screenshot=False)
    check_env(made.unwrapped, skip_render_check=True)
    made.close()


# --- registration and misuse -------------------------------------------------------------------------------------------------


def test_registering_again_changes_nothing_and_takes_no_id_of_others(monkeypatch):
    assert browsergym.register(["miniwob.click-b*"]) == browsergym.register(["miniwob.click-b*"])
    monkeypatch.setitem(gym.registry, "browsergym/miniwob.click-link", gym.spec("CartPole-v1"))
    with pytest.raises(ConfigError, match=r"browsergym/miniwob.click-link is BrowserGym's own already"):
        browsergym.register(["miniwob.click-link"])
    with pytest.raises(UnknownTaskError, match="did you mean"):
        browsergym.register(["miniwob.click-lnk"])


def test_misuse_is_told(env):
    with pytest.raises(ConfigError, match="max_turns must be a whole number of at least 1"):
        BrowserGymEnv("miniwob.click-test-2", max_turns=0)
    with pytest.raises(ConfigError, match="an action is text"):
        env.step(3)


def test_browsergym_is_not_needed():
    code = "import sys; sys.modules['browsergym'] = None; from webgym.browsergym import BrowserGymEnv; BrowserGymEnv('miniwob.click-link')"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_page_of_the_docs_shows_what_happens():
    printed, shown = session("docs/from-browsergym.md")
    assert printed == shown
