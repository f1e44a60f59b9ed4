"""Prompts as messages of parts: their text, and a key that tells pictures apart."""

import doctest
import pickle
from dataclasses import replace

import numpy as np
import pytest

import webgym.prompts.parts
from webgym.prompts.parts import Message, PicturePart, Prompt, TextPart, continued_key

RED = PicturePart.of(np.full((2, 3, 3), (255, 0, 0), np.uint8))
BLUE = PicturePart.of(np.full((2, 3, 3), (0, 0, 255), np.uint8))


def shown(*pictures: PicturePart, words: str = "Press OK.") -> Prompt:
    return Prompt((Message("system", (TextPart("Be brief."),)), Message("user", (TextPart(words), *pictures))), "\n\nAction:")


def test_text_is_all_texts_and_the_cue():
    assert shown().text == shown(RED).text == "Be brief.\n\nPress OK.\n\nAction:"
    assert Prompt((Message("user", (TextPart("a"), RED, TextPart("b"))), Message("user", (RED,)))).text == "a\n\nb"


def test_a_prompt_without_pictures_has_no_key():
    assert shown().key == shown(words="Press Cancel.").key == ""


def test_prompts_that_differ_by_a_picture_only_have_other_keys():
    different = [
        shown(RED), shown(BLUE), shown(RED, BLUE), shown(BLUE, RED), shown(RED, RED), shown(RED, words="Press Cancel."),
        replace(shown(RED), cue=""),
        Prompt((Message("system", (TextPart("Be brief."), RED)), Message("user", (TextPart("Press OK."),))), "\n\nAction:"),
        Prompt((Message("system", (TextPart("Be brief."),)), Message("user", (RED, TextPart("Press OK.")))), "\n\nAction:"),
    ]  # fmt: skip
    assert len({prompt.key for prompt in different}) == len(different) and "" not in {prompt.key for prompt in different}
    assert len({prompt.text for prompt in different[:5]}) == 1


def test_equal_content_is_an_equal_key_in_every_process():
    again = pickle.loads(pickle.dumps(shown(PicturePart.of(RED.pixels.copy()))))
    assert again == shown(RED) and again.key == shown(RED).key == "17b19ef7dc200c344fa56a8f525f8a4f"


def test_one_pixel_makes_another_picture():
    pixels = RED.pixels.copy()
    pixels[1, 2, 0] -= 1
    assert PicturePart.of(pixels) != RED and PicturePart.of(pixels).hash != RED.hash
    assert PicturePart(3, 2, RED.rgb).hash != PicturePart(2, 3, RED.rgb).hash


def test_pixels_come_back_and_cannot_be_changed():
    pixels = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    picture = PicturePart.of(pixels)
    assert np.array_equal(picture.pixels, pixels)
    pixels[:] = 0
    assert picture.pixels.any()
    with pytest.raises(ValueError, match="read-only"):
        picture.pixels[:] = 0


@pytest.mark.parametrize("wrong", [np.zeros((2, 3), np.uint8), np.zeros((2, 3, 4), np.uint8), np.zeros((2, 3, 3))])
def test_other_shapes_and_types_are_refused(wrong):
    with pytest.raises(ValueError, match=r"expected pixels \[height, width, 3\] of uint8, got"):
        PicturePart.of(wrong)
    with pytest.raises(ValueError, match="expected 18 bytes for a picture of 2 by 3 pixels, got 1"):
        PicturePart(2, 3, b"x")


def test_a_conversation_keeps_its_pictures():
    red, blue = shown(RED).key, shown(BLUE).key
    ways = [continued_key(red, ""), continued_key(blue, ""), continued_key(red, blue), continued_key(blue, red), continued_key(red, red)]
    assert ways[:2] == [red, blue] and len(set(ways)) == len(ways)


def test_examples():
    found = doctest.testmod(webgym.prompts.parts)
    assert found.attempted and not found.failed
