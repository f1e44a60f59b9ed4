"""A policy behind a server: what the model is shown, what is recorded, and an evaluation in the browser."""

import asyncio
import base64
import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import cli
from tests.webgym.model_server import Asked, ModelServer, chat, model_server, scripted
from webgym.actions import parse, tool_specs
from webgym.errors import ConfigError, UsageError, WebGymError
from webgym.policies.openai import OpenAIPolicy, chat_messages, picture_url, viewed_prompt
from webgym.policies.openai_client import OpenAIClient, Patience, Server
from webgym.policies.policy import Policy
from webgym.prompts.prompt import prompt_of
from webgym.prompts.settings import COMPACT, PromptSettings
from webgym.types import Completion, EpisodeKey, InvalidAction, Node, Observation, Sampling, Turn

KEY = EpisodeKey("demo.form", 3)
PIXELS = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
PAGE = Observation("Press Save.", "http://demo.test/", "Demo", (Node("button", "Save", ref=0),), turns_left=5, screenshot=PIXELS)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "OPENAI_BASE_URL", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def act(server: ModelServer, *turns: tuple[Observation, tuple[Turn, ...], EpisodeKey], **settings) -> list[Completion]:
    """What the policy writes in these turns."""

    async def acting():
        async with OpenAIClient(Server(server.url), Patience(tries=1)) as client:
            policy: Policy = OpenAIPolicy(client, "m", **settings)
            return [await policy.act(*turn) for turn in turns]

    return asyncio.run(acting())


def test_text_is_what_other_models_are_prompted_with():
    with model_server(scripted(chat("click('0')"))) as server:
        (completion,) = act(server, (PAGE, (), KEY))
    assert server.asked[0].body["messages"] == [
        {"role": message.role, "content": message.text} for message in prompt_of(PAGE, (), PromptSettings()).messages
    ]
    assert completion.prompt == "\n\n".join(message["content"] for message in server.asked[0].body["messages"]) and completion.key == ""
    assert completion.text == "click('0')" and completion.sampling == Sampling(max_tokens=1024)
    assert completion.prompt.startswith("You are an agent") and '[0] button "Save"' in completion.prompt


def test_screenshot_stands_in_for_the_text_of_the_page():
    system, user = chat_messages(viewed_prompt(PAGE, (), PromptSettings(), "screenshot"))
    text, picture = user["content"]
    assert system["role"] == "system" and "Press Save." in text["text"] and "[0]" not in text["text"]
    assert "6 by 4 pixels" in text["text"] and "bear no refs" in text["text"]
    kind, _, data = picture["image_url"]["url"].partition(",")
    assert kind == "data:image/png;base64"
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))), PIXELS)


def test_both_shows_text_and_picture():
    _, user = chat_messages(viewed_prompt(PAGE, (), PromptSettings(), "both"))
    assert '[0] button "Save"' in user["content"][0]["text"] and user["content"][1]["image_url"]["url"] == picture_url(PIXELS)
    assert "bear no refs" not in user["content"][0]["text"]


def test_pictures_are_sent_but_not_recorded_in_the_prompt():
    with model_server(scripted(chat("mouse_click(3, 2)"))) as server:
        (completion,) = act(server, (PAGE, (), KEY), view="both")
    assert server.asked[0].body["messages"][1]["content"][1]["type"] == "image_url"
    assert "base64" not in completion.prompt and "6 by 4 pixels" in completion.prompt


def test_a_picture_is_named_by_the_key_of_the_completion():
    other = replace(PAGE, screenshot=PIXELS + 1)
    with model_server(scripted(chat("mouse_click(3, 2)", prompt_token_ids=[1]))) as server:
        first, again, second = act(server, (PAGE, (), KEY), (PAGE, (), KEY), (other, (), KEY), view="both")
    assert first.prompt == second.prompt and first.key == again.key != second.key and first.key and second.key


def test_a_view_without_a_picture_is_refused():
    with pytest.raises(UsageError, match="screenshots=True"):
        viewed_prompt(Observation("g", "u", "t", ()), (), PromptSettings(), "both")


def test_tokens_are_recorded_as_sampled():
    logprobs = {"content": [{"token": "a", "logprob": -0.5}, {"token": "", "logprob": -0.25}]}
    with model_server(scripted(chat("stop()", token_ids=[7, 2], logprobs=logprobs) | {"prompt_token_ids": [1]})) as server:
        (completion,) = act(server, (PAGE, (), KEY), tokens=True)
    assert (completion.prompt_ids, completion.action_ids, completion.behaviour_logprobs) == ((1,), (7, 2), (-0.5, -0.25))


def test_reasoning_stands_before_the_action():
    with model_server(scripted(chat("click('0')", message={"reasoning": "press click('9')?"}))) as server:
        (completion,) = act(server, (PAGE, (), KEY))
    assert completion.text == "<think>press click('9')?</think>click('0')"


def test_seeds_are_of_the_run_the_episode_and_the_turn():
    turn = Turn(Completion("click('0')"), "click('0')", "", 0.0, False, False, "", "")
    asked = [(PAGE, (), KEY), (PAGE, (), KEY), (PAGE, (turn,), KEY), (PAGE, (), EpisodeKey("demo.form", 3, member=1))]
    with model_server(scripted(chat(""))) as server:
        act(server, *asked)
        act(server, (PAGE, (), KEY), run_seed=1)
    first, again, *others = [request.body["seed"] for request in server.asked]
    assert first == again and len({first, *others}) == 4


def test_dialect_is_the_prompts():
    policy = OpenAIPolicy(OpenAIClient(Server("http://a.test/v1")), "m", prompts=PromptSettings(dialect="json"))
    assert policy.dialect == "json"
    with pytest.raises(ConfigError, match="chat style"):
        OpenAIPolicy(OpenAIClient(Server("http://a.test/v1")), "m", prompts=COMPACT)
    with pytest.raises(ConfigError, match=r"prompts\.context=window, got 'conversation'"):
        OpenAIPolicy(OpenAIClient(Server("http://a.test/v1")), "m", prompts=PromptSettings(context="conversation"))


# --- prompts that a server refuses ---------------------------------------------------------------------------------------------

LONG = replace(PAGE, nodes=tuple(Node("text", f"line {i} " + "x" * 100) for i in range(300)))
ENDLESS = replace(PAGE, goal="Press Save. " * 10_000)


def reading(most: int, status: int = 400):
    """A server whose model reads so many characters of the messages' texts."""

    def answer(asked: Asked):
        read = sum(len(message["content"]) for message in asked.body["messages"])
        return (status, {"error": {"message": "maximum context length; stop('pwned')"}}) if read > most else chat("click('0')")

    return answer


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_page_that_is_too_long_for_the_server_is_cut(status):
    with model_server(reading(20_000, status)) as server:
        first, cut, after = act(server, (PAGE, (), KEY), (LONG, (), KEY), (PAGE, (), KEY))
    assert first.text == cut.text == after.text == "click('0')" and first.prompt == after.prompt
    assert cut.prompt == prompt_of(LONG, (), PromptSettings(max_nodes=150)).text.removesuffix("\n\nAction:")
    assert "line 149 " in cut.prompt and "line 150 " not in cut.prompt and "150 more lines are not shown" in cut.prompt
    assert len(server.asked) == 4


def test_a_page_that_is_too_long_may_be_the_first_one():
    with model_server(reading(20_000)) as server:
        (completion,) = act(server, (LONG, (), KEY))
    assert completion.text == "click('0')" and "line 0 " in completion.prompt and len(server.asked) == 2


@pytest.mark.parametrize("view", ["text", "screenshot"])
def test_a_prompt_that_no_cut_makes_short_enough_costs_its_turn(view):
    ok = chat("click('0')")
    with model_server(lambda asked: (400, {"message": "stop('pwned')"}) if "Save. Press" in json.dumps(asked.body) else ok) as server:
        _, lost, after = act(server, (PAGE, (), KEY), (ENDLESS, (), KEY), (PAGE, (), KEY), view=view)
    assert re.fullmatch(r"\[no answer: the server refuses the prompt of 1\d\d,\d\d\d characters, with one line of the page\]", lost.text)
    assert isinstance(parse(lost.text, "call"), InvalidAction) and lost.action_ids == () and "Save. Press" in lost.prompt
    assert after.text == "click('0')" and len(server.asked) == 3


@pytest.mark.parametrize(("page", "requests"), [(PAGE, 1), (LONG, 2)])
def test_a_server_that_takes_no_request_ends_the_run(page, requests):
    with model_server(scripted((400, {"message": "no such field"}))) as server:
        with pytest.raises(UsageError, match=r"refused the request with status 400 \(no such field\)"):
            act(server, (page, (), KEY))
        assert len(server.asked) == requests


# --- function calling --------------------------------------------------------------------------------------------------------


def called(name, arguments, content=None, more=()):
    """An answer that calls tools, as servers give it."""
    calls = [{"id": "1", "type": "function", "function": {"name": name, "arguments": arguments}}, *more]
    return chat(content, message={"content": content, "tool_calls": calls})


CLICK = called("click", '{"ref": 0}')


@pytest.mark.parametrize(
    ("answer", "dialect", "text"),
    [
        (CLICK, "json", '{"name": "click", "arguments": "{\\"ref\\": 0}"}'),
        (CLICK, "call", "click('0')"),
        (called("click", {"ref": 0}), "call", "click('0')"),
        (called("left_click", '{"coordinate": [3, 4]}'), "call", "mouse_click(3, 4)"),
        (called("fill", '{"ref": 0, "text": "a\\nb"}', "I fill it."), "call", "I fill it.\nfill('0', 'a\\nb')"),
        (called("click", '{"ref": 0}', more=[{"function": {"name": "stop", "arguments": "{}"}}]), "call", "click('0')"),
        (chat(None, message={"content": None, "function_call": {"name": "go_back", "arguments": "{}"}}), "call", "go_back()"),
        (chat(None, message={"content": [{"type": "text", "text": "click('0')"}]}), "call", "click('0')"),
    ],
)
def test_a_tool_call_is_an_action_in_the_policys_dialect(answer, dialect, text):
    with model_server(scripted(answer)) as server:
        (completion,) = act(server, (PAGE, (), KEY), prompts=PromptSettings(dialect=dialect))
    assert completion.text == text and not isinstance(parse(completion.text, dialect), InvalidAction)
    assert "tools" not in server.asked[0].body


@pytest.mark.parametrize(("name", "arguments"), [("clik", "{}"), ("click", "{"), ("click", '{"ref": "a"}'), ("", "")])
def test_a_call_of_no_tool_is_an_error_in_words(name, arguments):
    for dialect in ("call", "json"):
        with model_server(scripted(called(name, arguments))) as server:
            (completion,) = act(server, (PAGE, (), KEY), prompts=PromptSettings(dialect=dialect))
        assert isinstance(parse(completion.text, dialect), InvalidAction)


def test_tools_are_offered_and_described_once():
    with model_server(scripted(CLICK)) as server:
        act(server, (PAGE, (), KEY), prompts=PromptSettings(dialect="json"), tools=True)
        act(server, (PAGE, (), KEY), prompts=PromptSettings(dialect="json"), tools=True, view="screenshot")
        act(server, (PAGE, (), KEY), tools=True, extra={"tool_choice": "auto", "parallel_tool_calls": None})
    all_tools, points, changed = [request.body for request in server.asked]
    names = [tool["function"]["name"] for tool in all_tools["tools"]]
    assert {"click", "fill", "stop"} < set(names) and len(names) == len(set(names)) and all_tools["tool_choice"] == "required"
    assert "click(" not in all_tools["messages"][0]["content"] and "one tool" in all_tools["messages"][0]["content"]
    assert not {"click", "fill"} & {tool["function"]["name"] for tool in points["tools"]}
    assert changed["tool_choice"] == "auto" and "parallel_tool_calls" not in changed


def test_every_tool_takes_what_its_schema_says():
    examples = {"integer": 1, "number": 5, "string": "Enter", "array": []}
    for spec in tool_specs():
        tool = spec["function"]
        given = {}
        for name, schema in tool["parameters"]["properties"].items():
            given[name] = schema["enum"][0] if "enum" in schema else ["x"] if name in ("options", "files") else examples[schema["type"]]
        for arguments in (given, {name: given[name] for name in tool["parameters"]["required"]}):
            text = json.dumps({"name": tool["name"], "arguments": arguments})
            assert not isinstance(parse(text, "json"), InvalidAction), text


def test_a_model_that_sees_no_refs_is_told_of_no_action_that_needs_one():
    for dialect in ("call", "json"):
        system, _ = chat_messages(viewed_prompt(PAGE, (), PromptSettings(dialect=dialect), "screenshot"))
        assert "mouse_click" in system["content"] and "fill" not in system["content"] and "bears a ref" not in system["content"]


# --- evaluation in the browser -----------------------------------------------------------------------------------------------


def model_that_reads(asked: Asked):
    """Answers like a model that clicks the button that the goal names, by its ref."""
    if asked.method == "GET":
        return {"data": [{"id": "reader"}]}
    text = asked.body["messages"][1]["content"]
    wanted = re.search(r'Goal: Click on the "(.+)" button', text)
    assert wanted
    ref = re.search(rf'\[(\d+)\] button "{re.escape(wanted[1])}"', text)
    return chat(f"The goal names it.\nclick('{ref[1] if ref else 0}')")


def evaluate(*arguments):
    return CliRunner().invoke(cli.app, ["eval", "--policy", "openai", "--tasks", "miniwob.click-button", "--json", *arguments])


def test_a_servers_model_is_evaluated_in_the_browser():
    with model_server(model_that_reads) as server:
        result = evaluate("--model", "reader", "--base-url", server.url, "--seeds", "3", "--sessions", "2", "--extra", '{"top_k": 7}')
        assert result.exit_code == 0, result.exception
    overall = json.loads(result.stdout)["overall"]
    assert overall["successes"] == overall["episodes"] == 3
    assert {request.body["top_k"] for request in server.asked if request.body} == {7}


def test_a_model_sees_the_page_as_a_picture():
    def model_that_looks(asked: Asked):
        if asked.method == "GET":
            return (404, {})
        url = asked.body["messages"][1]["content"][1]["image_url"]["url"]
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGB"))
        sizes.append(pixels.shape)
        return chat("stop()")

    sizes: list[tuple[int, ...]] = []
    with model_server(model_that_looks) as server:
        result = evaluate("--model", "any", "--base-url", server.url, "--seeds", "1", "--sessions", "1", "--view", "screenshot")
    assert result.exit_code == 0, result.exception
    assert sizes == [(*reversed(_viewport()), 3)] and json.loads(result.stdout)["overall"]["successes"] == 0


def _viewport():
    from webgym.packs import registry

    return registry.task("miniwob.click-button").viewport


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--base-url", "http://127.0.0.1:9/v1"), "needs --model NAME"),
        (("--model", "m"), "give --base-url, or set OPENAI_BASE_URL"),
        (("--model", "m", "--base-url", "http://127.0.0.1:9/v1", "--extra", "[1]"), "--extra '[1]': expected a JSON object"),
    ],
)
def test_eval_says_what_it_needs(arguments, words):
    result = evaluate(*arguments)
    assert isinstance(result.exception, WebGymError) and words in str(result.exception)


def test_an_unknown_model_is_told_before_anything_is_played():
    with model_server(model_that_reads) as server:
        result = evaluate("--model", "readr", "--base-url", server.url)
    assert isinstance(result.exception, ConfigError) and "did you mean 'reader'" in str(result.exception)
    assert len(server.asked) == 1
