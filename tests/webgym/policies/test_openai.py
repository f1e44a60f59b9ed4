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
from webgym.errors import ConfigError, UsageError, WebGymError
from webgym.policies.openai import OpenAIPolicy, chat_messages, picture_url, viewed_prompt
from webgym.policies.openai_client import OpenAIClient, Patience, Server
from webgym.policies.policy import Policy
from webgym.prompts.prompt import prompt_of
from webgym.prompts.settings import COMPACT, PromptSettings
from webgym.types import Completion, EpisodeKey, Node, Observation, Sampling, Turn

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
