"""The tokenizer of webgym-tiny gives text back, one id to a word, and one token to what must be one."""

import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from trainers.models.tiny import WORDS, Shape, build_model, build_tokenizer
from webgym.errors import UsageError

TEXTS = [
    'goal: enter the username $1 "ann" and click submit.\nleft 3\npage:\ncheckbox * abc #3\ntextbox name = ann focused #12\ndo:',
    "click #3",
    "type #1 $2",
    "done: click button * submit",
]


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer(TEXTS * 5, vocab_size=1024)


def ids(tokenizer, text):
    return tokenizer(text, add_special_tokens=False)["input_ids"]


@pytest.mark.parametrize(
    "text",
    [
        *TEXTS,
        "",
        " ",
        " lead",
        "  two\n  indented\ttab",
        "a\r\nb",
        "#250 $10 #199 $9 $12.50 a#3 ##5 $abc c#a",
        'x="y" (z) don\'t [1]',
        "type #1 john@mail.com",
        "日本 é😀 \x00 ÿ",
        "x \n y\n\n",
    ],
)
def test_text_comes_back(tokenizer, text):
    assert tokenizer.decode(ids(tokenizer, text)) == text


@given(st.text(st.characters(exclude_characters="▁⌁", exclude_categories=("Cs",))))
def test_any_text_comes_back(tokenizer, text):
    assert tokenizer.decode(tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]) == text


def test_words_of_the_dialect_are_one_token(tokenizer):
    assert [word for word in WORDS if len(ids(tokenizer, word)) != 1] == []


def test_a_word_has_one_id_wherever_it_stands(tokenizer):
    (word,) = ids(tokenizer, "submit")
    for text in ("button submit #7", '"submit"', "x\nsubmit", "(submit)", "submit."):
        assert word in ids(tokenizer, text), text
    line = ["checkbox", " *", "abc", "#3", "\n", "button"]
    assert ids(tokenizer, "checkbox * abc #3\nbutton") == [ids(tokenizer, part)[-1] for part in ("checkbox", "x *", *line[2:])]


def test_vocabulary_size_and_room_for_bytes():
    assert len(build_tokenizer(TEXTS, vocab_size=1000)) <= 1000
    with pytest.raises(UsageError, match="room"):
        build_tokenizer(TEXTS, vocab_size=400)


def test_same_texts_same_tokenizer_in_another_process(tokenizer):
    build = f"build_tokenizer({TEXTS * 5!r}, vocab_size=1024).backend_tokenizer.to_str()"
    code = f"from trainers.models.tiny import build_tokenizer; print({build})"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert other.strip() == tokenizer.backend_tokenizer.to_str()


def test_saved_tokenizer_loads_by_auto_tokenizer(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    assert again.eos_token == "<|end|>" and again.pad_token == "<|pad|>"
    for text in TEXTS:
        assert ids(again, text) == ids(tokenizer, text) and again.decode(ids(again, text)) == text


def test_model_is_seeded_and_about_a_million_parameters(tokenizer):
    def matrix(model):
        return model.state_dict()["model.layers.0.mlp.up_proj.weight"]

    state = torch.get_rng_state()
    one, same, other = (build_model(tokenizer, seed=s) for s in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)  # the caller's random numbers stay as they were
    assert torch.equal(matrix(one), matrix(same))
    assert not torch.equal(matrix(one), matrix(other))
    assert 0.8e6 < sum(p.numel() for p in one.parameters()) < 1.2e6
    assert one.lm_head.weight is one.model.embed_tokens.weight
    assert build_model(tokenizer, Shape(layers=2)).config.num_hidden_layers == 2
