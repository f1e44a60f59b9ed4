"""The set of actions: a call is checked to be one, and handed on."""

import ast


class HighLevelActionSet:
    def __init__(self, subsets, strict, multiaction):
        assert not multiaction and "bid" in subsets

    def to_python_code(self, action):
        call = ast.parse(action, mode="eval").body
        assert isinstance(call, ast.Call)
        return action
