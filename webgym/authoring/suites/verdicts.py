"""Verdicts of WebArena and of WebArena-Verified that need no language model.

WebArena (`eval` is a mapping): `string_match` with `exact_match` and `must_include`, `url_match` ("GOLD in PRED"), and `program_html` on
the last page. WebArena-Verified (`eval` is a list): the agent's response, an object with `task_type`, `status` and `retrieved_data`, and
network events. A score is the product of its parts, as in both originals. What is not supported is named in words, so that its tasks can
be left out.
"""

import html
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol
from urllib.parse import parse_qs, parse_qsl, unquote, urlsplit

from webgym.authoring.answers import read_date, read_number, squash
from webgym.authoring.checks import shown
from webgym.sites.apps.requests import Request
from webgym.task import FAILURE, PENDING, SUCCESS, Evidence, Verdict

OR = " |OR| "
LOCATORS = ("document.", "[...document.")
MODEL = "judged by a language model"
ADVICE = (
    'When you stop, answer with one JSON object: {"task_type": "RETRIEVE", "MUTATE" or "NAVIGATE", "status": "SUCCESS" or the kind of '
    'error, "retrieved_data": a list, or null}.'
)


class Judge(Protocol):
    """The verdict of one task."""

    @property
    def advice(self) -> str:
        """Words that follow the goal."""
        ...

    @property
    def probe(self) -> str | None:
        """An expression that is read on the last page."""
        ...

    @property
    def trust(self) -> Literal["state", "page"]:
        """ "page" where the page is its own judge."""
        ...

    def check(self, evidence: Evidence) -> Verdict:
        """The verdict at the end of the episode."""
        ...


def judge_of(eval_: Any, known: Mapping[str, str]) -> "Judge | str":
    """The judge of a task's `eval`, or the reason why there is none. `known` are addresses of sites by name."""
    if isinstance(eval_, Mapping):
        return _unsupported(eval_) or Original(json.loads(with_addresses(json.dumps(eval_), known)), _located(eval_))
    if isinstance(eval_, list) and all(isinstance(one, Mapping) and "evaluator" in one for one in eval_):
        other = sorted({str(one["evaluator"]) for one in eval_} - {"AgentResponseEvaluator", "NetworkEventEvaluator"})
        return f"judged by {', '.join(other)}" if other else Verified(eval_, known)
    return "with an eval of another form"


def with_addresses(text: str, known: Mapping[str, str]) -> str:
    """A text in which `__SHOPPING__` and the like stand for the addresses of sites."""
    for name, url in known.items():
        text = text.replace(f"__{name.upper()}__", url)
    return text


def _verdict(evidence: Evidence, why: str) -> Verdict:
    if not evidence.ended:
        return PENDING
    return Verdict(FAILURE.kind, message=why) if why else SUCCESS


# --- WebArena --------------------------------------------------------------------------------------------------------------


def _unsupported(eval_: Mapping[str, Any]) -> str:
    """The reason why a verdict of WebArena cannot be had, "" where it can."""
    kinds = set(eval_.get("eval_types") or ())
    if not kinds or not kinds <= {"string_match", "url_match", "program_html"}:
        return f"judged by {', '.join(sorted(kinds)) or 'nothing'}"
    answers = eval_.get("reference_answers") or {}
    if "string_match" in kinds:
        if set(answers) - {"exact_match", "must_include", "fuzzy_match"}:
            return f"judged by {', '.join(answers)}"
        if "fuzzy_match" in answers and answers["fuzzy_match"] != "N/A":
            return MODEL
    if "url_match" in kinds and eval_.get("url_note", "GOLD in PRED") != "GOLD in PRED":
        return f"judged by the address in another way ({eval_['url_note']})"
    for target in eval_.get("program_html") or () if "program_html" in kinds else ():
        locator = target.get("locator", "").strip()
        if target.get("url") != "last":
            return "judged by a page that is opened after the end"
        if target.get("prep_actions") or (locator and not locator.startswith(LOCATORS)):
            return "judged by a helper function"
        if not {"exact_match", "must_include"} & set(target.get("required_contents", {})):
            return MODEL
    return ""


def _located(eval_: Mapping[str, Any]) -> list[str]:
    """The expressions that are read on the last page, one for each target."""
    if "program_html" not in eval_["eval_types"]:
        return []
    return [target.get("locator", "").strip() or "document.documentElement.outerHTML" for target in eval_["program_html"]]


@dataclass(frozen=True)
class Original:
    """A verdict of WebArena. `located` are JavaScript expressions, which are evaluated in the page's own world, as the original does."""

    eval: Mapping[str, Any]
    located: Sequence[str] = ()
    advice: str = ""

    @property
    def probe(self) -> str | None:
        if not self.located:
            return None
        looks = ", ".join(f"() => ({expression})" for expression in self.located)
        look = 'try { const found = look(); return found ? String(found) : ""; } catch { return ""; }'
        return f"(() => [{looks}].map((look) => {{ {look} }}))()"

    @property
    def trust(self) -> Literal["state", "page"]:
        return "state" if self.eval["eval_types"] == ["string_match"] else "page"

    def check(self, evidence: Evidence) -> Verdict:
        return _verdict(evidence, self._unmet(evidence))

    def _unmet(self, evidence: Evidence) -> str:
        kinds, words = self.eval["eval_types"], ""
        if "string_match" in kinds:
            words = answer_unmet(self.eval["reference_answers"], evidence)
        if not words and "url_match" in kinds:
            words = address_unmet(self.eval["reference_url"], evidence.url)
        if not words and "program_html" in kinds:
            found = evidence.page_state if isinstance(evidence.page_state, list) else [""] * len(self.located)
            targets = zip(self.eval["program_html"], found, strict=True)
            words = next((why for target, text in targets if (why := content_unmet(target["required_contents"], str(text)))), "")
        return words


def _clean(text: str) -> str:
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        text = text[1:-1]
    return text.lower()


def answer_unmet(wanted: Mapping[str, Any], evidence: Evidence) -> str:
    """The reason why an answer is not one of WebArena's `reference_answers`, "" where it is. A goal that cannot be reached wants "N/A"."""
    if "fuzzy_match" in wanted:
        ok = evidence.ended == "infeasible" or _clean(evidence.answer) == "n/a"
        return "" if ok else "the goal cannot be reached, and the agent did not say so"
    given = _clean(evidence.answer)
    if "exact_match" in wanted and given != _clean(str(wanted["exact_match"])):
        return f"the answer is {shown(evidence.answer)}, expected {shown(wanted['exact_match'])}"
    parts = [str(part) for part in wanted.get("must_include", ())]
    for part in parts:
        alone = len(parts) == 1 and len(_clean(part)) == 1  # "3" is not in "13"
        found = _clean(part) in (re.findall(r"\w+|[^\w\s]", given) if alone else given)
        if not found:
            return f"the answer {shown(evidence.answer)} does not have {shown(part)}"
    return ""


def address_unmet(wanted: str, url: str) -> str:
    """The reason why an address does not have one of the wanted ones in it, "" where it does (WebArena's "GOLD in PRED")."""
    given, query = urlsplit(url.rstrip("/")), parse_qs(urlsplit(url).query)
    base = (given.netloc + given.path).rstrip("/")
    golden = [urlsplit(one.rstrip("/")) for one in wanted.split(OR)]
    if not any((one.netloc + one.path).rstrip("/") in base for one in golden):
        return f"the address {url} has none of {wanted}"
    values: dict[str, set[str]] = {}
    for one in golden:
        for name, found in parse_qs(one.query).items():
            values.setdefault(name, set()).update(found)
    missing = next((name for name, found in values.items() if not found & set(query.get(name, ()))), "")
    return f"the address {url} lacks the query {missing}" if missing else ""


def content_unmet(wanted: Mapping[str, Any], text: str) -> str:
    """The reason why a text of the page is not as WebArena's `required_contents` want it, "" where it is."""
    given = _clean(html.unescape(text))
    if "exact_match" in wanted:
        return (
            "" if given == _clean(str(wanted["exact_match"])) else f"the page says {shown(text)}, expected {shown(wanted['exact_match'])}"
        )
    for part in wanted["must_include"]:
        if not any(_clean(one) in given for one in str(part).split(OR)):
            return f"the page does not say {shown(part)}"
    return ""


# --- WebArena-Verified -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Verified:
    """A verdict of WebArena-Verified: all of its evaluators must agree."""

    evaluators: Sequence[Mapping[str, Any]]
    known: Mapping[str, str] = field(default_factory=dict)
    advice: str = ADVICE
    probe: str | None = None

    @property
    def trust(self) -> Literal["state", "page"]:
        return "page" if any(one["evaluator"] == "NetworkEventEvaluator" for one in self.evaluators) else "state"

    def check(self, evidence: Evidence) -> Verdict:
        if not evidence.ended:
            return PENDING
        requests = evidence.instance.plain.requests if evidence.instance is not None else []
        for one in self.evaluators:
            if one["evaluator"] == "AgentResponseEvaluator":
                why = response_unmet(one, evidence.answer)
            else:
                why = event_unmet(one, requests, self.known)
            if why:
                return _verdict(evidence, why)
        return SUCCESS


def response_unmet(evaluator: Mapping[str, Any], answer: str) -> str:
    """The reason why an answer is not the response that is expected, "" where it is."""
    try:
        given = json.loads(answer)
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        return "the answer is not one JSON object"
    wanted = evaluator["expected"]
    for name in ("task_type", "status"):
        if wanted.get(name) and str(given.get(name)).upper() != str(wanted[name]).upper():
            return f"the answer's {name} is {given.get(name)!r}, expected {wanted[name]!r}"
    if wanted.get("retrieved_data") is None:
        return ""
    schema = (evaluator.get("results_schema") or {}).get("items") or {}
    data = given.get("retrieved_data")
    rows = data if isinstance(data, list) else [data]
    if not _all_alike(wanted["retrieved_data"], rows, schema, ordered=bool(evaluator.get("ordered"))):
        return f"the answer's data is {shown(json.dumps(data))}, expected {shown(json.dumps(wanted['retrieved_data']))}"
    return ""


def _all_alike(wanted: Sequence[Any], given: Sequence[Any], schema: Mapping[str, Any], *, ordered: bool) -> bool:
    if len(wanted) != len(given):
        return False
    if ordered:
        return all(alike(one, other, schema) for one, other in zip(wanted, given, strict=True))
    rest = list(given)
    for one in wanted:
        found = next((index for index, other in enumerate(rest) if alike(one, other, schema)), None)
        if found is None:
            return False
        del rest[found]
    return True


def alike(wanted: Any, given: Any, schema: Mapping[str, Any]) -> bool:
    """True if a value is the one that is wanted: numbers by value, dates by day, texts but for case and white space. A list where the
    schema has none names alternatives.

    >>> alike(12.5, "$12.50", {"type": "number"}), alike("2022-01-05", "Jan 5, 2022", {"type": "string", "format": "date"})
    (True, True)
    >>> alike("290km", "290 km", {"type": "string", "format": "distance"}), alike("A b", " a  B", {"type": "string"}), alike("a", "ab", {})
    (True, True, False)
    """
    kind = schema.get("type")
    if isinstance(wanted, Mapping):
        inner = schema.get("properties") or {}
        return isinstance(given, Mapping) and all(alike(value, given.get(name), inner.get(name) or {}) for name, value in wanted.items())
    if isinstance(wanted, list) and kind != "array":
        return any(alike(one, given, schema) for one in wanted)
    if isinstance(wanted, list):
        return isinstance(given, list) and _all_alike(wanted, given, schema.get("items") or {}, ordered=False)
    if isinstance(wanted, bool) or wanted is None or kind == "boolean":
        return str(wanted).lower() == str(given).lower()
    if kind in ("number", "integer") or isinstance(wanted, int | float):
        one, other = read_number(str(wanted)), read_number(str(given).replace("$", ""))
        return one is not None and other is not None and abs(one - other) <= 1e-9 * max(1.0, abs(one))
    if schema.get("format") == "date" and (day := read_date(str(wanted))) is not None:
        return read_date(str(given)) == day
    space = "" if schema.get("format") else " "
    one, other = (squash(str(text)).casefold().replace(" ", space) for text in (wanted, given))
    return one == other


def event_unmet(evaluator: Mapping[str, Any], requests: Sequence[Request], known: Mapping[str, str]) -> str:
    """The reason why the requests of the episode are not as a network event is expected, "" where they are.

    Asked are those of the expected method, of which pages alone count for GET; the last one, unless `last_event_only` is false.
    """
    wanted = evaluator["expected"]
    method = wanted.get("http_method") or "GET"
    asked = [one for one in requests if one.method == method and (method != "GET" or one.document)]
    if evaluator.get("last_event_only", True) and not evaluator.get("should_not_exist"):
        asked = asked[-1:]
    found = any(_is_event(evaluator, one, known) for one in asked)
    if evaluator.get("should_not_exist"):
        return f"there was a request {method} {wanted['url']}, which must not be" if found else ""
    return "" if found else f"there was no request {method} {wanted['url']} of the expected content"


def _is_event(evaluator: Mapping[str, Any], request: Request, known: Mapping[str, str]) -> bool:
    wanted = evaluator["expected"]
    urls = wanted["url"] if isinstance(wanted["url"], list) else [wanted["url"]]
    if not any(_is_address(evaluator, one, request.url, known) for one in urls):
        return False
    if wanted.get("response_status") and request.status != wanted["response_status"]:
        return False
    dropped = evaluator.get("ignored_post_data_params_patterns") or ()
    return wanted.get("post_data") is None or _same_fields(wanted["post_data"], _without(_posted(request), (), dropped))


def _is_address(evaluator: Mapping[str, Any], wanted: str, url: str, known: Mapping[str, str]) -> bool:
    for name, address in known.items():
        placeholder = re.escape(address) if wanted.startswith("^") else address
        wanted = wanted.replace(f"__{name.upper()}__", placeholder)
    if wanted.startswith("^"):
        return re.search(wanted, unquote(url)) is not None
    one, other = urlsplit(wanted), urlsplit(url)
    if (one.netloc, one.path.rstrip("/")) != (other.netloc, other.path.rstrip("/")):
        return False
    expected = evaluator["expected"].get("query_params")
    fields = {name: value for name, value in parse_qsl(one.query, keep_blank_values=True)} | dict(expected or {})
    if expected is None and not one.query:
        return True
    ignored = evaluator.get("ignored_query_params") or (), evaluator.get("ignored_query_params_patterns") or ()
    given = dict(parse_qsl(other.query, keep_blank_values=True))
    return _same_fields(_without(fields, *ignored), _without(given, *ignored))


def _posted(request: Request) -> dict[str, Any]:
    if request.kind.startswith("application/json"):
        try:
            found = json.loads(request.body)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}
    return dict(request.form)


def _without(fields: Mapping[str, Any], names: Sequence[str], patterns: Sequence[str]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in names and not any(re.search(each, name) for each in patterns)}


def _same_fields(wanted: Mapping[str, Any], given: Mapping[str, Any]) -> bool:
    """True if the wanted fields are there; others may be, because forms carry tokens."""
    return all(name in given and alike(_one(value), _one(given[name]), {"type": "string"}) for name, value in wanted.items())


def _one(value: Any) -> Any:
    return value[0] if isinstance(value, list) and len(value) == 1 else value
