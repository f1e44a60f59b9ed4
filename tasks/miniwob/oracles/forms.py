"""Buttons, check boxes, radio buttons, select boxes, text fields and forms of them."""

import re

from tasks.miniwob.oracles import solves
from tasks.miniwob.oracles.reading import (
    click,
    fields,
    fill,
    fill_in,
    find,
    ordinal,
    press,
    quoted,
    seek,
    texts,
    things,
    tick,
    wanted,
)
from webgym.types import Action, Click, Observation, Press, Select


@solves("click-test", "click-test-2", "click-test-transfer")
def click_test(page: Observation) -> Action:
    """The only button, or the one named in the goal ("Click button ONE.")."""
    named = re.search(r"button (\w+)", page.goal)
    return press(page, named[1], "button") if named else click(things(page, "button")[0])


@solves("click-button", "unicode-test")
def click_button(page: Observation) -> Action:
    return press(page, quoted(page)[0], "button")


@solves("click-button-sequence")
def click_button_sequence(page: Observation) -> Action:
    """ONE, then TWO; the button that was pressed last has the focus."""
    return press(page, "TWO" if "focused" in find(page, "ONE", "button").states else "ONE", "button")


@solves("click-dialog")
def click_dialog(page: Observation) -> Action:
    return press(page, "Close", "button")


@solves("click-dialog-2")
def click_dialog_2(page: Observation) -> Action:
    label = quoted(page)[0]
    return press(page, "Close" if label == "x" else label, "button")


@solves("click-widget")
def click_widget(page: Observation) -> Action:
    """A widget of the named kind."""
    kind = quoted(page)[0]
    roles = {"text": ("textbox",), "textarea": ("textbox",), "radio": ("radio",), "checkbox": ("checkbox",), "button": ("button",)}
    widgets = things(page, *roles[kind])
    # Both kinds of text field have one role; the page fills its text areas and leaves its text inputs empty.
    if kind == "text":
        widgets = [n for n in widgets if not n.value]
    if kind == "textarea":
        widgets = [n for n in widgets if n.value]
    return click(widgets[0])


@solves("click-link")
def click_link(page: Observation) -> Action:
    return press(page, quoted(page)[0])


@solves("click-checkboxes", "click-checkboxes-large", "click-checkboxes-transfer")
def click_checkboxes(page: Observation) -> Action:
    words = wanted(page, r"Select (.*) and click Submit")[0].split(", ")
    boxes = things(page, "checkbox")
    return tick(boxes, [n for n in boxes if n.text in words]) or press(page, "Submit", "button")


SYNONYMS = (
    "big large huge enormous gigantic",
    "small tiny little mini petite",
    "red scarlet crimson vermillion",
    "happy cheerful joyful gleeful delighted",
    "sad unhappy sorrowful miserable tragic",
    "angry mad furious irritated",
    "evil wicked immoral sinful corrupt depraved",
    "wrong incorrect mistaken erroneous",
    "real genuine actual",
    "strange odd peculiar unusual weird",
    "stop cease halt end finish",
    "scared afraid fearful terrified panicked",
    "quiet calm peaceful serene mild",
    "old aged ancient archaic",
    "love like admire favor care treasure",
    "kill murder assassinate",
    "keep retain preserve sustain maintain",
    "hide conceal camouflage",
    "funny humorous amusing comical laughable",
    "fat fleshy plump chubby",
    "stupid dumb dull unwise",
    "delicious savory delectable appetizing",
    "cut slice carve chop",
    "brave courageous fearless",
    "begin start initiate launch",
    "answer reply response",
    "television televisions tv tvs",
    "house home houses homes",
    "fire flame fires flames",
    "pig pork swine",
    "rabbit rabbits bunny bunnies",
    "car cars automobile automobiles vehicle vehicles",
    "water",
)
"""Words that click-checkboxes-soft takes for similar, a set a line (in lower case)."""

_SENSE = {word: line for line in SYNONYMS for word in line.split()}


def sense(word: str) -> str:
    """Equal for words of one meaning."""
    return _SENSE.get(word.casefold(), word.casefold())


@solves("click-checkboxes-soft")
def click_checkboxes_soft(page: Observation) -> Action:
    senses = {sense(w) for w in wanted(page, r"similar to (.*) and click Submit")[0].split(", ")}
    boxes = things(page, "checkbox")
    return tick(boxes, [n for n in boxes if sense(n.text) in senses]) or press(page, "Submit", "button")


@solves("click-option")
def click_option(page: Observation) -> Action:
    option = find(page, wanted(page, r"Select (.*) and click Submit")[0], "radio")
    return press(page, "Submit", "button") if "checked" in option.states else click(option)


@solves("choose-list")
def choose_list(page: Observation) -> Action:
    name = wanted(page, r"Select (.*) from the list and click Submit")[0]
    box = things(page, "combobox", "listbox")[0]
    assert box.ref is not None
    return press(page, "Submit", "button") if box.value == name else Select(box.ref, (name,))


@solves("click-scroll-list")
def click_scroll_list(page: Observation) -> Action:
    names = wanted(page, r"Select (.*) from the scroll list and click Submit")[0].split(", ")
    box = things(page, "listbox")[0]
    assert box.ref is not None
    chosen = {n.text for n in page.nodes if n.role == "option" and "selected" in n.states}
    return press(page, "Submit", "button") if chosen == set(names) else Select(box.ref, tuple(names))


@solves("enter-text", "enter-text-dynamic")
def enter_text(page: Observation) -> Action:
    return fill_in([(fields(page)[0], quoted(page)[0])]) or press(page, "Submit", "button")


@solves("enter-text-2")
def enter_text_2(page: Observation) -> Action:
    text = quoted(page)[0]
    text = text.upper() if "upper case" in page.goal else text.lower()
    return fill_in([(fields(page)[0], text)]) or press(page, "Submit", "button")


@solves("text-transform")
def text_transform(page: Observation) -> Action:
    return fill_in([(fields(page)[0], "".join(texts(page)))]) or press(page, "Submit", "button")


@solves("enter-password")
def enter_password(page: Observation) -> Action:
    password = quoted(page)[0]
    return fill_in([(field, password) for field in fields(page)]) or press(page, "Submit", "button")


@solves("login-user")
def login_user(page: Observation) -> Action:
    return fill_in(zip(fields(page), quoted(page), strict=True)) or press(page, "Login", "button")


@solves("login-user-popup")
def login_user_popup(page: Observation) -> Action:
    """As login-user, with a pop-up that asks to leave: stay."""
    stay = seek(page, "Cancel")
    if stay:
        return click(stay)
    return fill_in(zip(fields(page), quoted(page), strict=True)) or click(things(page, "button")[0])


@solves("focus-text")
def focus_text(page: Observation) -> Action:
    return click(fields(page)[0])


@solves("focus-text-2")
def focus_text_2(page: Observation) -> Action:
    return click(fields(page)[ordinal(page) - 1])


@solves("enter-date")
def enter_date(page: Observation) -> Action:
    """A date field holds its value as year-month-day."""
    month, day, year = wanted(page, r"(\d\d)/(\d\d)/(\d{4})")
    return fill_in([(fields(page)[0], f"{year}-{month}-{day}")]) or press(page, "Submit", "button")


@solves("enter-time")
def enter_time(page: Observation) -> Action:
    """A time field holds its value in 24 hours."""
    hour, minute, half = wanted(page, r"(\d+):(\d\d) ([AP]M)")
    time = f"{int(hour) % 12 + (12 if half == 'PM' else 0):02}:{minute}"
    return fill_in([(fields(page)[0], time)]) or press(page, "Submit", "button")


@solves("form-sequence-2")
def form_sequence_2(page: Observation) -> Action:
    """Check the 3rd radio button and enter the number "-7" into the 2nd textbox."""
    radio, text, field = wanted(page, r'(\d)\w\w radio button and enter the number "(.*)" into the (\d)')
    button = things(page, "radio")[int(radio) - 1]
    if "checked" not in button.states:
        return click(button)
    return fill_in([(fields(page)[int(field) - 1], text)]) or press(page, "Submit", "button")


@solves("form-sequence-3")
def form_sequence_3(page: Observation) -> Action:
    """Choose 6 ft from the dropdown, then click the button labeled "Yes"."""
    height, button = wanted(page, r'Choose (.*) from the dropdown, then click the button labeled "(.*)"')
    box = things(page, "combobox")[0]
    assert box.ref is not None
    return press(page, button, "button") if box.value == height else Select(box.ref, (height,))


@solves("multi-layouts", "multi-orderings")
def movie_search(page: Observation) -> Action:
    """Three labelled fields in any order and wording, told apart by a word of the label before each."""
    genre, director, year = wanted(page, r"Search for (.*) movies directed by (.*) from year (\d+)")
    answers = {"genre": genre, "director": director, "year": year, "date": year, "release": year}
    label, pairs = "", []
    for node in page.nodes:
        if node in fields(page):
            label = (node.text or label).casefold()
            pairs.append((node, next(answer for word, answer in answers.items() if word in label)))
        elif node.text:
            label = node.text
    return fill_in(pairs) or click(things(page)[-1])


@solves("simple-arithmetic")
def simple_arithmetic(page: Observation) -> Action:
    a, sign, b = re.search(r"(\d+)\s*([-+x×*])\s*(\d+)", " ".join(texts(page)).replace("−", "-")).groups()  # type: ignore[union-attr]
    result = int(a) + int(b) if sign == "+" else int(a) - int(b) if sign == "-" else int(a) * int(b)
    return fill_in([(fields(page)[0], str(result))]) or press(page, "Submit", "button")


@solves("simple-algebra")
def simple_algebra(page: Observation) -> Action:
    """a ± x = c or x ± b = c."""
    left, sign, right, total = re.search(r"(\w+)\s*([-+])\s*(\w+)\s*=\s*(-?\d+)", " ".join(texts(page))).groups()  # type: ignore[union-attr]
    c = int(total)
    if left == "x":
        x = c - int(right) if sign == "+" else c + int(right)
    else:
        x = c - int(left) if sign == "+" else int(left) - c
    return fill_in([(fields(page)[0], str(x))]) or press(page, "Submit", "button")


@solves("guess-number")
def guess_number(page: Observation) -> Action:
    """A guess a turn pair. Only the last guess and its feedback are on the page, so lower answers go down one, higher ones up one."""
    field = fields(page)[0]
    feedback = re.search(r"number is (lower|higher) than\s*(\d+)", " ".join(n.text for n in page.nodes))
    guess = "5" if feedback is None else str(int(feedback[2]) + (1 if feedback[1] == "higher" else -1))
    return fill_in([(field, guess)]) or press(page, "Submit", "button")


@solves("odd-or-even")
def odd_or_even(page: Observation) -> Action:
    """Rows of Odd, number, Even. What was pressed does not show as text, so the focus tells how far the work has got."""
    rows = [i for i, n in enumerate(page.nodes) if re.fullmatch(r"-?\d+", n.text)]
    answers = [page.nodes[i + 1 if int(page.nodes[i].text) % 2 == 0 else i - 1] for i in rows]
    focused = next((i for i, n in enumerate(answers) if "focused" in n.states), -1)
    return click(answers[focused + 1]) if focused + 1 < len(answers) else press(page, "Submit", "button")


@solves("order-food")
def order_food(page: Observation) -> Action:
    """Items by name, one of each, or so many of one kind; an item's nodes are its name, its kinds, -, its number, +."""
    items: dict[str, dict] = {}
    item: dict = {}
    before = None
    for node in page.nodes:
        if node.text == "-" and node.ref is not None:
            item["minus"] = node
        elif node.text == "+" and node.ref is not None:
            item["plus"] = node
        elif re.fullmatch(r"\d+", node.text):
            item["count"] = int(node.text)
        elif node.role in ("image", "img", "graphic"):
            item.setdefault("kinds", set()).add(node.text)
        elif node.ref is None and node.text:
            before = node.text
            item = items.setdefault(before, {"count": 0})
    by_name = re.search(r"one of each item: (.*)", page.goal)
    if by_name:
        need = dict.fromkeys(by_name[1].split(", "), 1)
    else:
        number, kind = wanted(page, r"Order (\d+) items that are (.*)")
        need = {next(name for name, i in items.items() if kind in i.get("kinds", ())): int(number)}
    for name, i in items.items():
        if i["count"] < need.get(name, 0):
            return click(i["plus"])
        if i["count"] > need.get(name, 0):
            return click(i["minus"])
    return press(page, "Order!", "button")


@solves("buy-ticket")
def buy_ticket(page: Observation) -> Action:
    """Each offer is a duration ("14h 18m") and a button with its price ("Book for $390")."""
    offers, minutes = [], 0
    for node in page.nodes:
        duration = re.fullmatch(r"(\d+)h (\d+)m", node.text)
        price = re.search(r"\$(\d+)", node.text)
        if duration:
            minutes = int(duration[1]) * 60 + int(duration[2])
        elif price and node.ref is not None:
            offers.append((node, int(price[1]), minutes))
    by = (lambda o: o[1]) if "cost" in page.goal else (lambda o: o[2])
    most = "most expensive" in page.goal or "longest" in page.goal
    return click((max if most else min)(offers, key=by)[0])


@solves("find-word")
def find_word(page: Observation) -> Action:
    word = " ".join(texts(page)).split()[ordinal(page) - 1].strip(".,")
    return fill_in([(fields(page)[0], word)]) or press(page, "Submit", "button")


@solves("scroll-text")
def scroll_text(page: Observation) -> Action:
    area, field = fields(page)[:2]
    word = (area.value or "").split()[-1].strip(".,")
    return fill_in([(field, word)]) or press(page, "Submit", "button")


@solves("read-table")
def read_table(page: Observation) -> Action:
    label = wanted(page, r"value of (.*) into the text field")[0]
    said = texts(page)
    return fill_in([(fields(page)[0], said[said.index(label) + 1])]) or press(page, "Submit", "button")


@solves("read-table-2")
def read_table_2(page: Observation) -> Action:
    """The table's cells come in pairs; a field's label ends in a colon."""
    said = texts(page)
    pairs = []
    for i, node in enumerate(page.nodes):
        if node in fields(page):
            label = (node.text or page.nodes[i - 1].text).rstrip(":").strip()
            pairs.append((node, said[said.index(label) + 1]))
    return fill_in(pairs) or press(page, "Submit", "button")


@solves("copy-paste")
def copy_paste(page: Observation) -> Action:
    area, field = fields(page)
    return fill_in([(field, area.value or "")]) or press(page, "Submit", "button")


@solves("copy-paste-2")
def copy_paste_2(page: Observation) -> Action:
    *areas, field = fields(page)
    return fill_in([(field, areas[ordinal(page) - 1].value or "")]) or press(page, "Submit", "button")


@solves("find-greatest")
def find_greatest(page: Observation) -> Action:
    cards = [n for n in things(page) if re.fullmatch(r"\d+", n.text)]
    greatest = max(cards, key=lambda n: int(n.text))
    return click(greatest)


@solves("ascending-numbers")
def ascending_numbers(page: Observation) -> Action:
    """What was clicked goes from the page."""
    return click(min((n for n in things(page) if re.fullmatch(r"\d+", n.text)), key=lambda n: int(n.text)))


@solves("sign-agreement")
def sign_agreement(page: Observation) -> Action:
    """Scroll to the bottom of the textarea, enter the name "Enola" then press "Cancel"; or only Click the cancel button."""
    if not quoted(page):
        return press(page, "Cancel", "button")
    name, button = quoted(page)
    area, field = fields(page)[:2]
    if "disabled" in field.states:
        assert area.ref is not None
        return Press("Control+End", area.ref)
    return fill_in([(field, name)]) or press(page, button, "button")


@solves("generate-number")
def generate_number(page: Observation) -> Action:
    """Generates until the number fits."""
    number = next((int(t) for t in texts(page) if re.fullmatch(r"-?\d+", t)), None)
    if number is None:
        return press(page, "Generate", "button")
    limit = re.search(r"(less|greater) than (\d+)", page.goal)
    if limit:
        fits = number < int(limit[2]) if limit[1] == "less" else number > int(limit[2])
    else:
        fits = number % 2 == (1 if "odd" in page.goal else 0)
    return press(page, "Submit" if fits else "Generate", "button")


@solves("stock-market")
def stock_market(page: Observation) -> Action:
    """Waits until the price is low enough."""
    from webgym.types import Wait

    limit = float(wanted(page, r"less than \$([\d.]+?)\.?$")[0])
    price = float(next(t for t in texts(page) if t.startswith("$"))[1:])
    return press(page, "Buy", "button") if price < limit else Wait(200)


@solves("use-spinner")
def use_spinner(page: Observation) -> Action:
    return fill_in([(fields(page)[0], wanted(page, r"Select (-?\d+) with")[0])]) or press(page, "Submit", "button")


@solves("use-autocomplete", "use-autocomplete-nodelay")
def use_autocomplete(page: Observation) -> Action:
    """Type the beginning, then choose the entry with the right end from the menu that opens."""
    start, *end = quoted(page)
    field = fields(page)[0]
    value = field.value or ""
    good = [n for n in things(page) if n.text.startswith(start) and n.text.endswith(tuple(end) or "") and n.role not in ("textbox", "combobox")]
    if good:
        return click(good[0])
    if value.startswith(start) and value.endswith(tuple(end) or "") and len(value) > len(start):
        return press(page, "Submit", "button")
    return fill(field, start)


@solves("form-sequence")
def form_sequence(page: Observation) -> Action:
    """Select 0 with the slider, click the 3rd checkbox, then hit Submit."""
    goal, box = wanted(page, r"Select (-?\d+) with the slider, click the (\d)")
    move = slide(page, int(goal))
    return move or tick(things(page, "checkbox"), [things(page, "checkbox")[int(box) - 1]]) or press(page, "Submit", "button")


@solves("use-slider")
def use_slider(page: Observation) -> Action:
    return slide(page, int(wanted(page, r"Select (-?\d+) with")[0])) or press(page, "Submit", "button")


@solves("use-slider-2")
def use_slider_2(page: Observation) -> Action:
    """Three sliders; each one's number stands after it."""
    goals = [int(g) for g in wanted(page, r"\[(.*)\]")[0].split(",")]
    moves = (slide(page, goal, which) for which, goal in enumerate(goals))
    return next((m for m in moves if m), None) or press(page, "Submit", "button")


def slide(page: Observation, goal: int, which: int = 0) -> Action | None:
    """A key press that moves the slider towards the goal, or None when it is there. Keys go to the handle."""
    handles = [n for n in things(page) if "slider-handle" in n.text or n.role == "slider"]
    now = [int(t) for t in texts(page) if re.fullmatch(r"-?\d+", t)][which]
    ref = handles[which].ref
    if now == goal:
        return None
    return Press("ArrowRight" if now < goal else "ArrowLeft", ref)


__all__ = ["Click"]
