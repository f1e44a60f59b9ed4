"""A form with a field and a button, and tasks that go wrong in one way each."""

import ast
import os
import time

import gymnasium as gym
import numpy as np


def node(key, role, name="", bid=None, children=(), ignored=False, value=None, **properties):
    found = {"nodeId": key, "role": {"value": role}, "name": {"value": name}, "childIds": list(children), "ignored": ignored}
    found["properties"] = [{"name": each, "value": {"value": said}} for each, said in properties.items()]
    return found | ({"browsergym_id": bid} if bid else {}) | ({"value": {"value": value}} if value is not None else {})


class Form(gym.Env):
    """Fill the field with the word, press the button, and say "sent" or press twice."""

    def __init__(self, kind, action_mapping, headless=True):
        self.kind, self.mapping = kind, action_mapping

    def reset(self, *, seed=None, options=None):
        if self.kind == "broken":
            raise RuntimeError("the application is not there")
        self.word, self.field, self.pressed, self.error = f"word{seed}", "", 0, ""
        self.chat = [{"role": "assistant", "message": "Hi! I am a UI assistant."}, {"role": "user", "message": f"Send {self.word}."}]
        return self.seen(), {}

    def step(self, action):
        self.error, over, reward = "", False, 0.0
        call = ast.parse(self.mapping(action), mode="eval").body
        name, given = call.func.id, [ast.literal_eval(each) for each in call.args]
        if self.kind == "dies":
            os._exit(3)
        if self.kind == "hangs":
            time.sleep(1000)
        if self.kind == "odd" and name == "goto":
            raise RuntimeError("the page cannot be read")
        if name == "fill" and given[0] == "a3":
            self.field = given[1]
        elif name == "click" and given[0] == "a4":
            self.pressed += 1
            self.chat.append({"role": "user", "message": "Thanks; anything else?"})
            over, reward = self.pressed == 2, float(self.field == self.word)
        elif name == "send_msg_to_user":
            over, reward = True, (0.5 if given[0] == "half" else float(given[0] == "sent" and self.field == self.word and self.pressed))
        elif name == "report_infeasible":
            over = True
        elif name != "noop":
            self.error = f"ValueError: Could not find element\nwith bid {given and given[0]!r}"
        return self.seen(), reward, over, False, {}

    def seen(self):
        tree = [
            node("1", "RootWebArea", "Form", children=("2", "3", "8")),
            node("2", "generic", children=("4", "5"), bid="a1"),
            node("4", "heading", "Send a word", bid="a2", children=("6",)),
            node("6", "StaticText", "Send a word"),
            node("5", "textbox", "Word", bid="a3", value=self.field, required=True, invalid="false"),
            node("3", "button", "Send", bid="a4", children=("7",), disabled=False),
            node("7", "StaticText", "Send"),
            node("8", "generic", "", bid="a5", children=("9",)),
            node("9", "StaticText", f"pressed {self.pressed} times"),
        ]
        return {
            "goal": f"Send {self.word}.",
            "url": "http://form.example/",
            "open_pages_titles": ("Form", "Help"),
            "active_page_index": np.array([0]),
            "focused_element_bid": "a3",
            "last_action_error": self.error,
            "chat_messages": tuple(self.chat),
            "axtree_object": {"nodes": tree},
            "extra_element_properties": {"a5": {"clickable": True}},
            "screenshot": np.full((4, 6, 3), self.pressed, np.uint8),
        }


for kind in ("form", "broken", "dies", "hangs", "odd"):
    gym.register(f"browsergym/fakes.{kind}", entry_point=Form, kwargs={"kind": kind})
