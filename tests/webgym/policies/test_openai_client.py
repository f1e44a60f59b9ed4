"""The client against a server that speaks the protocol over a real socket."""

import asyncio
import socket

import pytest

from tests.webgym.model_server import HANG_UP, SILENCE, Asked, chat, model_server, scripted
from webgym.errors import ConfigError, PolicyFault, UsageError, WebGymError
from webgym.policies.openai_client import LONGEST_ANSWER, OpenAIClient, Patience, Reply, Server, usable_logprobs
from webgym.types import Sampling

HELLO = [{"role": "user", "content": "Hello"}]
PLAIN = Sampling()
AT_ONCE = Patience(tries=3, base_s=0.0)
KEY = "sk-very-secret"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "OPENAI_BASE_URL", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def ask(url, sampling=PLAIN, *, messages=HELLO, patience=AT_ONCE, key="", logprobs="raw", **options):
    """The reply to one chat request."""

    async def asking():
        async with OpenAIClient(Server(url, key, logprobs), patience) as client:
            return await client.chat("m", messages, sampling, seed=2**40 + 7, **options)

    return asyncio.run(asking())


def complete(url, sampling=PLAIN, **options):
    async def asking():
        async with OpenAIClient(Server(url, **options), AT_ONCE) as client:
            return await client.complete("m", [1, 2, 3], sampling, seed=5)

    return asyncio.run(asking())


def said(answer, error=WebGymError, **options):
    """The message of the error that one chat request ends with."""
    with model_server(answer if callable(answer) else scripted(answer)) as server, pytest.raises(error) as raised:
        ask(server.url, **options)
    return str(raised.value)


def test_chat_sends_the_protocols_fields_and_nothing_that_strict_servers_refuse():
    with model_server(scripted(chat("click('1')"))) as server:
        reply = ask(server.url, Sampling(temperature=0.5, max_tokens=9), key=KEY)
    assert reply == Reply("click('1')", finish="stop")
    (asked,) = server.asked
    assert (asked.method, asked.path, asked.headers["authorization"]) == ("POST", "/v1/chat/completions", f"Bearer {KEY}")
    assert asked.body == {"model": "m", "messages": HELLO, "temperature": 0.5, "max_tokens": 9, "seed": (2**40 + 7) % 2**31}


def test_without_a_key_no_authorization_is_sent():
    with model_server(scripted(chat(""))) as server:
        ask(server.url)
    assert "authorization" not in server.asked[0].headers


@pytest.mark.parametrize(
    ("sampling", "fields"),
    [
        (Sampling(greedy=True), {"temperature": 0.0}),
        (Sampling(top_p=0.9, top_k=20), {"temperature": 1.0, "top_p": 0.9, "top_k": 20}),
    ],
)
def test_sampling_reaches_the_server(sampling, fields):
    with model_server(scripted(chat(""))) as server:
        ask(server.url, sampling)
    assert server.asked[0].body.items() >= fields.items()


def test_extra_fields_are_added_and_taken_out():
    with model_server(scripted(chat(""))) as server:
        ask(server.url, extra={"max_tokens": None, "max_completion_tokens": 50})
    body = server.asked[0].body
    assert body["max_completion_tokens"] == 50 and "max_tokens" not in body


def with_tokens(ids, logprobs):
    content = [{"token": "x", "logprob": value, "bytes": None, "top_logprobs": []} for value in logprobs]
    return chat("ab", token_ids=ids, logprobs={"content": content}) | {"prompt_token_ids": [5, 6]}


def test_token_ids_and_logprobs_come_along_where_the_server_gives_them():
    with model_server(scripted(with_tokens([7, 8, 2], [-0.1, -0.2, -0.3]))) as server:
        assert ask(server.url, tokens=True) == Reply("ab", "", "stop", (5, 6), (7, 8, 2), (-0.1, -0.2, -0.3))
    body = server.asked[0].body
    assert body["logprobs"] is True and body["return_token_ids"] is True
    # what a model's own generation config would change unseen
    assert (body["top_p"], body["top_k"], body["min_p"], body["repetition_penalty"]) == (1.0, -1, 0.0, 1.0)


def test_a_server_without_token_ids_is_no_error_in_chat():
    with model_server(scripted(chat("ab", logprobs={"content": [{"token": "ab", "logprob": -1.0}]}))) as server:
        assert ask(server.url, tokens=True) == Reply("ab", finish="stop")


@pytest.mark.parametrize(
    ("sampling", "meaning", "kept"),
    [
        (Sampling(), "raw", True),
        (Sampling(temperature=0.7), "raw", False),
        (Sampling(temperature=0.7), "processed", True),
        (Sampling(top_k=5), "raw", True),
        (Sampling(top_k=5), "processed", False),
        (Sampling(greedy=True), "processed", False),
    ],
)
def test_logprobs_of_another_distribution_are_left_out(sampling, meaning, kept):
    with model_server(scripted(with_tokens([7, 2], [-0.1, -0.2]))) as server:
        reply = ask(server.url, sampling, tokens=True, logprobs=meaning)
    assert (reply.ids, bool(reply.logprobs)) == ((7, 2), kept)
    assert usable_logprobs(sampling, meaning) is kept


def test_reasoning_that_the_server_splits_off_is_kept_apart():
    with model_server(scripted(chat("click('1')", message={"reasoning_content": "one is right"}))) as server:
        assert ask(server.url) == Reply("click('1')", "one is right", "stop")


def test_an_answer_without_text_is_an_empty_text():
    with model_server(scripted(chat(None, finish_reason="length"))) as server:
        assert ask(server.url) == Reply("", finish="length")


# --- token completions -------------------------------------------------------------------------------------------------------


def completion(**choice):
    found = {"index": 0, "text": "ab", "finish_reason": "stop", "token_ids": [7, 2], "prompt_token_ids": [1, 2, 3], **choice}
    return {"object": "text_completion", "choices": [{"logprobs": {"token_logprobs": [-0.5, -0.25], "tokens": ["a", "b"]}, **found}]}


def test_completion_takes_and_gives_token_ids():
    with model_server(scripted(completion())) as server:
        assert complete(server.url) == Reply("ab", "", "stop", (1, 2, 3), (7, 2), (-0.5, -0.25), pieces=("a", "b"))
    (asked,) = server.asked
    assert asked.path == "/v1/completions" and asked.body["prompt"] == [1, 2, 3] and asked.body["return_token_ids"] is True


def vllm(**fields):
    """A completion with all fields of vLLM's, some of them changed; `choice` changes those of the choice."""
    found = completion(**fields.pop("choice", {}))
    return {
        **found,
        "id": "cmpl-1",
        "created": 1,
        "model": "m",
        "usage": {"prompt_tokens": 3, "total_tokens": 5, "completion_tokens": 2},
        **fields,
    }


def with_words(*tokens):
    return {"choice": {"logprobs": {"token_logprobs": [-0.5, -0.25], "tokens": list(tokens), "text_offset": [0, 1]}}}


TAKEN = {
    "all fields": {},
    "no usage": {"usage": None},
    "no count": {"usage": {"prompt_tokens": 3}},
    "no model": {"model": None},
    "the prompt beside the choices": {"choice": {"prompt_token_ids": None}, "prompt_token_ids": [1, 2, 3]},
    "ids in place of tokens": with_words("token_id:7", "token_id:2"),
    "one piece is missing": with_words(None, "b"),
    "a whole number": {"choice": {"logprobs": {"token_logprobs": [-1, 0]}}},
}


@pytest.mark.parametrize("kind", TAKEN)
def test_what_a_right_server_answers_is_taken(kind):
    with model_server(scripted(vllm(**TAKEN[kind]))) as server:
        assert complete(server.url).ids == (7, 2)


REFUSED = {
    "another model": ({"model": "base-model"}, "answered by the model 'base-model': expected 'm', which was asked for"),
    "two choices": (
        {"choices": [*completion(index=1)["choices"], *completion()["choices"]]},
        "gave choices that are numbered 1 and 0: expected one",
    ),
    "another choice": ({"choice": {"index": 1}}, "gave choices that are numbered 1: expected one"),
    "a longer prompt": ({"usage": {"prompt_tokens": 99}}, r"counts 99 tokens of a prompt of 3 \(usage.prompt_tokens\)"),
    "more tokens": ({"usage": {"completion_tokens": 9}}, "counts 9 sampled tokens and gave 2 token ids"),
    "another prompt beside the choices": (
        {"choice": {"prompt_token_ids": None}, "prompt_token_ids": [4, 5, 6]},
        "read another prompt than it was sent",
    ),
    "another prompt in one of two places": ({"prompt_token_ids": [4, 5, 6]}, "read another prompt than it was sent"),
    "tokens of other ids": (with_words("token_id:7", "token_id:3"), "the log-probability of the token 3 beside the token id 2"),
    "one token too few": (with_words("a"), "2 token ids and 1 tokens with log-probabilities"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_an_answer_to_another_request_is_refused(kind):
    fields, words = REFUSED[kind]
    with model_server(scripted(vllm(**fields))) as server, pytest.raises(UsageError, match=words):
        complete(server.url)


@pytest.mark.parametrize("strange", ["7", 7.0, True])
@pytest.mark.parametrize("where", ["token_ids", "prompt_token_ids"])
def test_ids_are_whole_numbers(where, strange):
    ids = [strange, 2] if where == "token_ids" else [strange, 2, 3]
    with model_server(scripted(vllm(choice={where: ids}))) as server, pytest.raises(PolicyFault, match="should be a valid integer"):
        complete(server.url)
    assert "should be a valid integer" in said(chat("a", token_ids=[strange]), PolicyFault, tokens=True)


def test_log_probabilities_are_numbers():
    answer = completion(logprobs={"token_logprobs": ["-0.5", -0.25]})
    with model_server(scripted(answer)) as server, pytest.raises(PolicyFault, match="should be a valid number"):
        complete(server.url)


@pytest.mark.parametrize(("missing", "words"), [("token_ids", "gives no token ids"), ("logprobs", "gives no log-probabilities")])
def test_completion_without_tokens_is_an_error(missing, words):
    with model_server(scripted(completion(**{missing: None}))) as server, pytest.raises(ConfigError, match=words):
        complete(server.url)


def test_completion_of_another_prompt_is_an_error():
    with model_server(scripted(completion(prompt_token_ids=[1, 2]))) as server, pytest.raises(UsageError, match="another prompt"):
        complete(server.url)


def test_completion_refuses_logprobs_that_a_loss_could_not_use():
    with model_server(scripted(completion())) as server, pytest.raises(ConfigError, match="processed_logprobs"):
        complete(server.url, Sampling(temperature=0.5))
    assert server.asked == []
    with model_server(scripted(completion())) as server:
        assert complete(server.url, Sampling(temperature=0.5), logprobs="processed").logprobs == (-0.5, -0.25)


def test_ids_and_logprobs_must_be_as_many():
    assert "3 token ids and 2 log-probabilities" in said(with_tokens([7, 8, 2], [-0.1, -0.2]), PolicyFault, tokens=True)


@pytest.mark.parametrize(
    ("ids", "logprobs", "words"),
    [
        ([-3, 2], [-0.1, -0.2], "gave the token id -3: expected 0 or more"),
        ([7, 2], [0.7, -0.2], "gave the log-probability 0.7: expected a number of at most 0"),
        ([7, 2], [-0.1, float("nan")], "gave the log-probability nan"),
        ([7, 2], [-0.1, float("-inf")], "gave the log-probability -inf"),
        ([7, 2], [-0.1, -9999.0], "gave the log-probability -9999 of a token that it sampled"),
    ],
)
def test_tokens_of_a_chat_that_cannot_be_right_are_a_fault(ids, logprobs, words):
    assert words in said(with_tokens(ids, logprobs), PolicyFault, tokens=True)


def test_log_probabilities_that_are_left_out_are_not_judged():
    with model_server(scripted(with_tokens([7, 2], [0.7, -0.2]))) as server:
        assert ask(server.url, Sampling(temperature=0.5), tokens=True).logprobs == ()


# --- trying again ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("failure", [(500, "oops"), (503, {}), (429, {"error": {"message": "slow down"}}), (408, ""), HANG_UP])
def test_what_passes_is_tried_again(failure):
    with model_server(scripted(failure, failure, chat("now"))) as server:
        assert ask(server.url).text == "now"
    assert len(server.asked) == 3 and server.asked[0].body == server.asked[2].body


def test_the_last_failure_is_told():
    words = said((503, {"error": {"message": "model is loading"}}), PolicyFault)
    assert "answered with status 503 (model is loading), 3 times" in words


def test_a_server_that_hangs_up_is_a_fault():
    assert "cannot be reached" in said(HANG_UP, PolicyFault)


def test_a_server_that_never_answers_is_a_fault():
    words = said(SILENCE, PolicyFault, patience=Patience(tries=2, timeout_s=0.02, base_s=0.0))
    assert "did not answer within 0.02 s, 2 times" in words


def test_it_gives_up_where_the_pause_would_outlast_its_patience():
    words = said((429, {}, {"retry-after": "3600"}), PolicyFault)
    assert "status 429, 1 time" in words


def test_the_server_may_name_the_pause():
    with model_server(scripted((429, {}, {"retry-after": "0"}), chat("now"))) as server:
        assert ask(server.url, patience=Patience(tries=2, base_s=0.0)).text == "now"
    patience = Patience(base_s=0.5)
    assert patience.pause_s(5, 0.5, asked_s=2.0) == 2.25


def test_pauses_grow_and_spread():
    patience = Patience(base_s=1.0, cap_s=5.0)
    assert [patience.pause_s(tried, 0.0) for tried in (1, 2, 3, 4, 9)] == [0.5, 1.0, 2.0, 2.5, 2.5]
    assert patience.pause_s(2, 0.5) == 1.5


# --- what the caller must mend -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        ((401, {"error": {"message": f"bad key {KEY}"}}), ConfigError, "refused the key (bad key ***): set OPENAI_API_KEY"),
        ((404, {"detail": "Not Found"}), ConfigError, "ends in /v1 as a rule"),
        ((307, "", {"location": "https://elsewhere.test/"}), ConfigError, "sends requests on to https://elsewhere.test/"),
        ((400, {"error": {"message": "too  many\ntokens"}}), UsageError, "refused the request with status 400 (too many tokens)"),
        ((422, {"message": "no seed"}), UsageError, "status 422 (no seed)"),
        ((429, {"error": {"code": "insufficient_quota", "message": "pay"}}), UsageError, "status 429 (pay)"),
    ],
)
def test_refusals_are_told_at_once(answer, kind, words):
    with model_server(scripted(answer)) as server, pytest.raises(kind) as raised:
        ask(server.url, key=KEY)
    assert words in str(raised.value) and KEY not in str(raised.value)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("<html>hello", "the answer: Invalid JSON"),
        ({"choices": []}, "choices: Tuple should have at least 1 item"),
        ({"choices": [{"message": {"content": 3}}]}, "choices.0.message.content: Input should be a valid string"),
        (chat("a", token_ids=["x"]), "choices.0.token_ids.0: Input should be a valid integer"),
    ],
)
def test_an_answer_in_another_form_is_a_fault(answer, words):
    assert words in said((200, answer), PolicyFault)


def test_a_client_stays_on_one_event_loop():
    with model_server(scripted(chat("a"))) as server:
        client = OpenAIClient(Server(server.url), AT_ONCE)
        first = asyncio.new_event_loop()
        first.run_until_complete(client.chat("m", HELLO, Sampling(), 0))
        with pytest.raises(UsageError, match="another event loop"):
            asyncio.run(client.chat("m", HELLO, Sampling(), 0))
        first.run_until_complete(client.close())
        first.close()


def test_requests_do_not_wait_for_each_other():
    """Each of eight requests is answered only once all eight have arrived."""
    arrived = 0
    all_there = asyncio.Event()

    async def together(_: Asked):
        nonlocal arrived
        arrived += 1
        if arrived == 8:
            all_there.set()
        await all_there.wait()
        return chat("a")

    async def ask_all(url):
        async with OpenAIClient(Server(url), AT_ONCE) as client:
            return await asyncio.gather(*(client.chat("m", HELLO, Sampling(), i) for i in range(8)))

    with model_server(together) as server:
        assert len(asyncio.run(ask_all(server.url))) == 8


# --- servers and models ------------------------------------------------------------------------------------------------------


def checked(url, model="small"):
    async def checking():
        async with OpenAIClient(Server(url), AT_ONCE) as client:
            await client.check(model)

    asyncio.run(checking())


def test_check_knows_the_servers_models():
    with model_server(scripted({"object": "list", "data": [{"id": "small"}, {"id": "large"}]})) as server:
        checked(server.url)
        with pytest.raises(ConfigError, match=r"has no model 'smal'; did you mean 'small'\? \(it has: small, large\)"):
            checked(server.url, "smal")
    assert (server.asked[0].method, server.asked[0].path) == ("GET", "/v1/models")


def test_check_takes_a_server_without_a_list_of_models():
    with model_server(scripted((404, {"detail": "Not Found"}))) as server:
        checked(server.url)


def test_check_says_that_nobody_answers():
    with socket.socket() as free:  # bound, but nobody listens
        free.bind(("127.0.0.1", 0))
        with pytest.raises(ConfigError, match=r"cannot be reached .*is the server running"):
            checked(f"http://127.0.0.1:{free.getsockname()[1]}/v1")


@pytest.mark.parametrize("url", ["", "127.0.0.1:8000/v1", "ftp://a/v1", "http://", "http://a:b/v1", "http://[::1/v1", "http://a/v1?key=x"])
def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(ConfigError, match="expected a server's address such as"):
        Server(url)


def test_server_comes_from_the_environment_and_hides_its_key():
    environ = {"OPENAI_BASE_URL": "http://a.test/v1/", "OPENAI_API_KEY": KEY}
    server = Server.from_environment(environ=environ)
    assert (server.base_url, server.key) == ("http://a.test/v1", KEY) and KEY not in repr(server)
    assert Server.from_environment("http://b.test/v1", environ=environ).base_url == "http://b.test/v1"
    with pytest.raises(ConfigError, match="give --base-url, or set OPENAI_BASE_URL"):
        Server.from_environment(environ={})
    with pytest.raises(ConfigError, match="a line break, perhaps"):
        Server("http://a.test/v1", f"{KEY}\n")


def test_half_an_emoji_reaches_the_server_as_a_replacement_character():
    with model_server(scripted(chat("ok"))) as server:
        ask(server.url, messages=[{"role": "user", "content": "half: \ud83d, é"}])
    assert server.asked[0].body["messages"][0]["content"] == "half: \ufffd, é"


def test_a_key_inside_the_address_is_never_shown():
    server = Server("http://user:sk-canary@127.0.0.1:1/v1")
    assert server.shown == "http://***@127.0.0.1:1/v1"
    assert "canary" not in said_of_nobody(server) and "http://***@127.0.0.1:1/v1 cannot be reached" in said_of_nobody(server)
    with pytest.raises(ConfigError) as caught:
        Server("http://user:sk-canary@host:99999/v1")
    assert "canary" not in str(caught.value)


def said_of_nobody(server):
    """The error where no server answers."""

    async def asking():
        async with OpenAIClient(server, AT_ONCE) as client:
            await client.check("m")

    with pytest.raises(ConfigError) as caught:
        asyncio.run(asking())
    return str(caught.value)


DEEP = "[" * 100_000


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        ((200, "no gzip", {"content-encoding": "gzip"}), PolicyFault, "cannot be reached (DecodingError: "),
        ((500, DEEP), PolicyFault, "answered with status 500 ([[["),
        ((400, DEEP), UsageError, "refused the request with status 400 ([[["),
        ((200, DEEP), PolicyFault, "answered in another form than the protocol's"),
        ((200, '{"choices": [{"message": {"content": "\\ud800"}}]}'), PolicyFault, "answered in another form than the protocol's"),
        ((200, "\ufeff"), PolicyFault, "answered in another form than the protocol's"),
        ((200, " " * (LONGEST_ANSWER + 1)), PolicyFault, "gave an answer of more than 67,108,864 bytes"),
    ],
)
def test_no_answer_of_a_server_is_an_error_of_another_kind(answer, error, words):
    assert words in said(answer, error)
