"""Buttons, check boxes, radio buttons, select boxes, text fields and forms of them."""

import re
from collections.abc import Sequence

from webgym.authoring.oracle import Memory, click, fields, fill, fill_in, find, ordinal, press, quoted, seek, texts, things, tick, wanted
from webgym.types import Action, MouseClick, Node, Observation, Press, Scroll, Wait

from . import remembers, solves


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
    """A widget of the named kind. Text areas have the role of text inputs, but are taller (26 to 21 pixels)."""
    kind = quoted(page)[0]
    roles = {"text": "textbox", "textarea": "textbox"}
    widgets = things(page, roles.get(kind, kind))
    if kind in roles:
        widgets = [n for n in widgets if n.box is not None and (n.box[3] > 24) == (kind == "textarea")]
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
    "scared terrified panicked fearful frightened afraid",
    "quiet calm peaceful serene mild",
    "old aged archaic",
    "love like adore favor",
    "kill murder assassinate",
    "keep retain preserve sustain maintain",
    "hide conceal camouflage",
    "hate despise loathe detest dislike",
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
    option = find(page, wanted(page, r"Select (.*) from the list and click Submit")[0], "option")
    return press(page, "Submit", "button") if "selected" in option.states else click(option)


@solves("click-scroll-list")
def click_scroll_list(page: Observation) -> Action:
    """A click on an option of such a list turns it on or off."""
    names = wanted(page, r"Select (.*) from the scroll list and click Submit")[0].split(", ")
    wrong = (n for n in things(page, "option") if ("selected" in n.states) != (n.text in names))
    option = next(wrong, None)
    return click(option) if option else press(page, "Submit", "button")


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
    return fill_in([(fields(page)[0], "".join("".join(texts(page)).split()))]) or press(page, "Submit", "button")


@solves("enter-password")
def enter_password(page: Observation) -> Action:
    password = quoted(page)[0]
    return fill_in([(field, password) for field in fields(page)]) or press(page, "Submit", "button")


@solves("login-user")
def login_user(page: Observation) -> Action:
    return fill_in(zip(fields(page), quoted(page), strict=True)) or press(page, "Login", "button")


@solves("login-user-popup")
def login_user_popup(page: Observation) -> Action:
    """The task login-user with a pop-up that asks to leave; the oracle stays."""
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
    """Choose 6 ft from the dropdown, then click the button labeled "Yes". The dropdown is drawn by script over the select box."""
    height, button = wanted(page, r'Choose (.*) from the dropdown, then click the button labeled "(.*)"')
    entry = next((n for n in things(page) if n.text == height and n.role != "option"), None)
    if entry:
        return click(entry)
    return press(page, button, "button") if things(page, "combobox")[0].value == height else press(page, "▾")


@solves("multi-layouts", "multi-orderings")
def movie_search(page: Observation) -> Action:
    """Three labelled fields in any order and wording; labels (before, after or inside) and fields come in one order."""
    genre, director, year = wanted(page, r"Search for (.*) movies directed by (.*) from year (\d+)")
    words = {"genre": genre, "director": director, "year": year, "date": year}
    answers = dict.fromkeys(answer for n in page.nodes for word, answer in words.items() if word in n.text.casefold())
    return fill_in(zip(fields(page), answers, strict=True)) or click(things(page)[-1])


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
    known = int(right if left == "x" else left)
    x = c - known if sign == "+" else c + known if left == "x" else known - c
    return fill_in([(fields(page)[0], str(x))]) or press(page, "Submit", "button")


@solves("guess-number")
def guess_number(page: Observation) -> Action:
    """Binary search. Every guess is made in one place of the tree only, so the last one and its feedback fix the next."""
    tree = {
        "": 5,
        "lower 5": 2,
        "higher 5": 8,
        "lower 2": 1,
        "higher 2": 3,
        "lower 8": 6,
        "higher 8": 9,
        "lower 1": 0,
        "higher 3": 4,
        "higher 6": 7,
    }
    feedback = re.search(r"number is (lower|higher) than\s*(\d+)", " ".join(n.text for n in page.nodes))
    guess = str(tree[f"{feedback[1]} {feedback[2]}" if feedback else ""])
    return fill_in([(fields(page)[0], guess)]) or press(page, "Submit", "button")


@solves("odd-or-even")
def odd_or_even(page: Observation) -> Action:
    """Rows of Odd, number, Even. The pressed button does not show as text, so the focus gives the progress."""
    rows = [i for i, n in enumerate(page.nodes) if re.fullmatch(r"-?\d+", n.text)]
    answers = [page.nodes[i + 1 if int(page.nodes[i].text) % 2 == 0 else i - 1] for i in rows]
    focused = next((i for i, n in enumerate(answers) if "focused" in n.states), -1)
    return click(answers[focused + 1]) if focused + 1 < len(answers) else press(page, "Submit", "button")


FOOD_KINDS = {"vegan", "gluten-free", "dairy", "meat", "peanuts"}


@solves("order-food")
def order_food(page: Observation) -> Action:
    """Items by name, one of each, or a number of one kind; an item is its name, its kinds, -, its number (if any), +."""
    counts: dict[str, int] = {}
    kinds: dict[str, list[str]] = {}
    steps: dict[str, list[Node]] = {}
    name = ""
    for node in page.nodes:
        if node.text in ("-", "+"):
            steps.setdefault(name, []).append(node)
        elif re.fullmatch(r"\d+", node.text):
            counts[name] = int(node.text)
        elif node.text and set(node.text.split()) <= FOOD_KINDS:
            kinds[name] = node.text.split()
        elif node.text:
            name = node.text
    by_name = re.search(r"one of each item: (.*)", page.goal)
    if by_name:
        need = dict.fromkeys(by_name[1].split(", "), 1)
    else:
        number, kind = wanted(page, r"Order (\d+) items that are (.*)")
        need = {next(n for n, k in kinds.items() if kind in k): int(number)}
    for name, (minus, plus) in steps.items():
        if counts.get(name, 0) != need.get(name, 0):
            return click(plus if counts.get(name, 0) < need.get(name, 0) else minus)
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
    for before, node in zip(page.nodes, page.nodes[1:], strict=False):
        if node.role == "textbox":
            labels = [text.rstrip(":").strip() for text in (before.text, node.text)]
            label = next(text for text in labels if text in said)
            pairs.append((node, said[said.index(label) + 1]))
    return fill_in(pairs) or press(page, "Submit", "button")


@solves("copy-paste")
def copy_paste(page: Observation) -> Action:
    """The text area, the taller of the two, stands before or after the text field."""
    field, area = sorted(fields(page), key=lambda n: n.box[3] if n.box else 0)
    return fill_in([(field, area.value or "")]) or press(page, "Submit", "button")


@solves("copy-paste-2")
def copy_paste_2(page: Observation) -> Action:
    *areas, field = fields(page)
    return fill_in([(field, areas[ordinal(page) - 1].value or "")]) or press(page, "Submit", "button")


@remembers("find-greatest")
def find_greatest(page: Observation) -> Memory:
    """Remembers the open card, because the page does not show it in words."""
    cards = [n for n in things(page) if re.fullmatch(r"\d+", n.text)]
    page = yield click(max(cards, key=lambda n: int(n.text)))
    while True:
        page = yield press(page, "Submit", "button")


@remembers("ascending-numbers")
def ascending_numbers(page: Observation) -> Memory:
    """The numbers are hidden after the first click. A clicked one leaves the page, and the rest keeps its order."""
    numbers = [int(n.text) for n in things(page)]
    while True:
        least = min(numbers)
        page = yield click(things(page)[numbers.index(least)])
        numbers.remove(least)


@solves("sign-agreement")
def sign_agreement(page: Observation) -> Action:
    """Scroll to the bottom of the textarea, enter the name "Enola" then press "Cancel"; or only press a button."""
    if not quoted(page):
        return press(page, wanted(page, r"[Cc]lick the (\w+) button")[0], "button")
    name, button = quoted(page)
    area, field = fields(page)[:2]
    if "disabled" in field.states:
        return Scroll(0, 10_000, area.ref)
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
    """Waits until the price, which moves ten times a second, is low enough (the page takes the limit itself for low enough)."""
    limit = float(wanted(page, r"less than \$([\d.]+?)\.?$")[0])
    price = re.search(r"price: \$([\d.]+)", " ".join(texts(page)))
    return press(page, "Buy", "button") if price and float(price[1]) <= limit else Wait(100)


@solves("use-spinner")
def use_spinner(page: Observation) -> Action:
    """The field takes no keys; its two arrows move it by one."""
    goal, now = int(wanted(page, r"Select (-?\d+) with")[0]), int(things(page, "spinbutton")[0].value or 0)
    if goal == now:
        return press(page, "Submit", "button")
    way = "spinner-up" if now < goal else "spinner-down"
    return click(next(n for n in things(page, "button") if way in n.text))


@solves("use-autocomplete", "use-autocomplete-nodelay")
def use_autocomplete(page: Observation) -> Action:
    """Type the beginning, then choose the entry with the right end from the menu that opens."""
    start, *end = quoted(page)
    field = fields(page)[0]
    value = field.value or ""
    good = [
        n for n in things(page) if n.text.startswith(start) and n.text.endswith(tuple(end) or "") and n.role not in ("textbox", "combobox")
    ]
    if good:
        return click(good[0])
    if value.startswith(start) and value.endswith(tuple(end) or "") and len(value) > len(start):
        return press(page, "Submit", "button")
    return fill(field, start)


@solves("form-sequence")
def form_sequence(page: Observation) -> Action:
    """Select 0 with the slider, click the 3rd checkbox, then hit Submit."""
    goal, box = wanted(page, r"Select (-?\d+) with the slider, click the (\d)")
    boxes = things(page, "checkbox")
    move = slide(page, int(goal), ranges=[(-10, 20)])
    return move or tick(boxes, [boxes[int(box) - 1]]) or press(page, "Submit", "button")


@solves("use-slider")
def use_slider(page: Observation) -> Action:
    ranges = [(low, span) for low in (-100, 0, 10, 100) for span in (5, 10, 50, 100)]
    return slide(page, int(wanted(page, r"Select (-?\d+) with")[0]), ranges=ranges) or press(page, "Submit", "button")


@solves("use-slider-2")
def use_slider_2(page: Observation) -> Action:
    """Three sliders; each one's number stands after it."""
    goals = [int(g) for g in wanted(page, r"\[(.*)\]")[0].split(",")]
    moves = (slide(page, goal, which, [(0, 20)]) for which, goal in enumerate(goals))
    return next((m for m in moves if m), None) or press(page, "Submit", "button")


def slide(page: Observation, goal: int, which: int = 0, ranges: Sequence[tuple[int, int]] = ()) -> Action | None:
    """Moves the slider towards the goal, or None when it is there.

    Far from the goal it clicks on the track. The click's place follows from the possible range (lowest value, span) that fits the
    handle's present place and number best. Near the goal it presses an arrow key.
    """
    tracks = [n for n in things(page) if n.text.startswith("ui-slider ") or n.text == "ui-slider"]
    handles = [n for n in things(page) if "slider-handle" in n.text or n.role == "slider"]
    now = [int(t) for t in texts(page) if re.fullmatch(r"-?\d+", t)][which]
    if now == goal:
        return None
    handle = handles[which]
    arrow = Press("ArrowRight" if now < goal else "ArrowLeft", handle.ref)
    if abs(goal - now) <= 2 or len(tracks) != len(handles) or tracks[which].box is None or handle.box is None:
        return arrow
    x, y, width, height = tracks[which].box  # type: ignore[misc]
    middle_x, middle_y = handle.box[0] + handle.box[2] / 2, handle.box[1] + handle.box[3] / 2
    level = (middle_x - x) / width if width > height else 1 - (middle_y - y) / height
    fitting = [(low, span) for low, span in ranges if low <= goal <= low + span]
    low, span = min(fitting, key=lambda r: abs(r[0] + level * r[1] - now) / r[1])
    share = (goal - low) / span
    if width > height:
        point = (x + min(max(share * width, 1), width - 1), y + height / 2)  # not on the very edge, which is outside
    else:
        point = (x + width / 2, y + min(max((1 - share) * height, 1), height - 1))
    if max(abs(point[0] - middle_x), abs(point[1] - middle_y)) < 8:  # a click on the handle does not move it
        return arrow
    return MouseClick(*point)
