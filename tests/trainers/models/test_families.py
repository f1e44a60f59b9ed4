"""Model families at no size: what `make families` tries of all of them at length, here in its quick part."""

import pytest

from benchmarks.families import CHECKS, FAMILIES, source_of, tokenizer_of, tried
from trainers.models.chat_template import ChatTemplate
from trainers.models.model import context_of
from webgym.errors import UsageError

TRAIN = [name for name in FAMILIES if name != "Mamba"]


@pytest.mark.parametrize("check", ["conversation", "no forgery", "packed = single"])
@pytest.mark.parametrize("name", TRAIN)
def test_a_family_holds(name, check):
    assert tried(FAMILIES[name], CHECKS[check]) == "yes"


@pytest.mark.parametrize(("name", "check"), [("Phi-3.5", "sampler = learner"), ("Gemma-2", "sampler = learner"), ("GPT-2", "critic")])
def test_what_is_special_of_a_family_holds(name, check):
    assert tried(FAMILIES[name], CHECKS[check]) == "yes"


def test_a_family_whose_rows_would_mix_is_refused_in_a_sentence():
    with pytest.raises(UsageError, match="carries state from one row"):
        source_of(FAMILIES["Mamba"])


@pytest.mark.parametrize("name", TRAIN)
def test_the_system_text_is_shown_by_every_template(name):
    template = ChatTemplate(tokenizer_of(FAMILIES[name]))
    if template:
        shown = tokenizer_of(FAMILIES[name]).decode(template.first([("system", "Be brief."), ("user", "Press OK.")]))
        assert shown.index("Be brief.") < shown.index("Press OK.")


def test_longrope_is_read_up_to_where_its_frequencies_change():
    assert context_of(source_of(FAMILIES["Phi-3.5"]).model) == 1024
    assert context_of(source_of(FAMILIES["Llama-3.2"]).model) == 4096
