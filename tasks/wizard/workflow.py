"""The workflow as a model: its parameters, the draw of a seed, and the transitions. Pure functions, used by both site and truth.

A workflow of N pages asks one thing a page. On a decisive page one option is right; on a distractor page every option leads on and none
matters. A wrong choice is remembered and shows itself `delay` pages later (at the last page at the latest). Then it ends the episode, or,
where mistakes are reversible, leads back to the page where it was made. Until then the pages look as if all were well, or, where
mistakes are visible, every page says that something is wrong. A number of mistakes may be forgiven.

The right answers stand in the goal, so that one skill is enough for every page. Where there are lessons, they are a rule of the house
instead, which no page states and which is the same in every episode. There a page shows a thing, each thing belongs in one place, and each
must be learned by itself.
"""

import random
import re
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any, Literal

from webgym.errors import ConfigError, did_you_mean
from webgym.types import seed_from

from .words import FIELDS, PLACES, THINGS

LISTED = 4  # fields whose answers the goal lists, at most
MOST_TURNS, MOST_CHOICES = 50, 8
MOST_LESSONS = len(THINGS) - 60  # the others are asked about where nothing depends on it
_NUMBER = {thing: number for number, thing in enumerate(THINGS)}


@dataclass(frozen=True)
class Wizard:
    """The parameters of a workflow; `name` is the task's name, and :meth:`named` reads it back.

    `horizon`: turns that the best policy needs, 1 to 50. `choices`: options a page, 2 to 8. `distractors`: pages of the horizon on which
    nothing depends. `delay`: pages between a mistake and its consequence. `reversible`: a mistake leads back instead of ending the episode,
    and a button goes back a page. `visible`: from a mistake to its consequence, every page says that there is one. `noise`: chance in
    percent that an option is shown misspelt. `lessons`: things whose place must be learned, 0 where the goal has the answers.
    `spared`: mistakes that are forgiven. `slack`: turns beyond the horizon until the episode is truncated; without it, half the horizon, at
    least 2.

    >>> Wizard(12, delay=3, reversible=True).name
    'h12-late3-undo'
    >>> Wizard.named("h12-late3-undo") == Wizard(12, delay=3, reversible=True)
    True
    """

    horizon: int
    choices: int = 4
    distractors: int = 0
    delay: int = 0
    reversible: bool = False
    visible: bool = False
    noise: int = 0
    lessons: int = 0
    spared: int = 0
    slack: int | None = None

    def __post_init__(self) -> None:
        bounds = {
            "horizon": (1, MOST_TURNS),
            "choices": (2, MOST_CHOICES),
            "distractors": (0, self.horizon - 1),
            "delay": (0, self.horizon),
            "noise": (0, 100),
            "lessons": (0, MOST_LESSONS),
            "spared": (0, self.horizon - self.distractors - 1),
            "slack": (0, 200),
        }
        for name, (low, high) in bounds.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise ConfigError(f"wizard: expected {name} from {low} to {high}, got {value}")
        if self.spared and self.reversible:
            raise ConfigError("wizard: expected mistakes that are spared or that can be undone, got both")
        if self.lessons and self.noise:
            raise ConfigError("wizard: expected lessons or misspelt options, got both")

    @property
    def name(self) -> str:
        """The shortest name with every parameter that is not the default."""
        parts = [f"h{self.horizon}"]
        for letters, field in _SUFFIXES.items():
            value = getattr(self, field)
            if value != _DEFAULTS[field]:
                parts.append(letters if value is True else f"{letters}{value}")
        return "-".join(parts)

    @classmethod
    def named(cls, name: str) -> "Wizard":
        """The parameters in a name. Raises ConfigError."""
        first, *rest = name.split("-")
        values: dict[str, Any] = {}
        for part in rest:
            match = re.fullmatch(r"([a-z]+)(\d*)", part)
            field = _SUFFIXES.get(match[1]) if match else None
            if match is None or field is None or field in values or (match[2] == "") != isinstance(_DEFAULTS[field], bool):
                letters = [word if isinstance(_DEFAULTS[field], bool) else f"{word}NUMBER" for word, field in _SUFFIXES.items()]
                known = did_you_mean(match[1] if match else part, _SUFFIXES)
                raise ConfigError(f"wizard.{name}: {part!r} is no parameter, or stands twice{known} (there are {', '.join(letters)})")
            values[field] = int(match[2]) if match[2] else True
        if not (horizon := re.fullmatch(r"h(\d+)", first)):
            raise ConfigError(f"wizard.{name}: expected a name that begins with the horizon, such as h12")
        return cls(int(horizon[1]), **values)

    @property
    def max_turns(self) -> int:
        """The turn limit of an episode."""
        return self.horizon + (max(2, self.horizon // 2) if self.slack is None else self.slack)

    @property
    def difficulty(self) -> int:
        """1 to 5 by the turns that are needed: 1-3, 4-6, 7-12, 13-20, more."""
        return 1 + sum(self.horizon > most for most in (3, 6, 12, 20))


_SUFFIXES = {
    "k": "choices",
    "x": "distractors",
    "late": "delay",
    "undo": "reversible",
    "seen": "visible",
    "noise": "noise",
    "learn": "lessons",
    "spare": "spared",
    "slack": "slack",
}
_DEFAULTS = {field.name: field.default for field in fields(Wizard)}


@dataclass(frozen=True, slots=True)
class Page:
    """One page: its question, the options as they are shown, and the number of the right one (None where every one leads on)."""

    field: str
    options: tuple[str, ...]
    right: int | None


@dataclass(frozen=True, slots=True)
class Workflow:
    """The draw of a seed. `wanted` are the answers that the goal lists."""

    wizard: Wizard
    pages: tuple[Page, ...]
    wanted: tuple[str, ...]


Status = Literal["open", "done", "refused"]


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of an episode. `mistakes` were forgiven so far; `wrong` is the page of the first one that was not, before it has shown
    itself. `told` is true if a mistake has just led back to the page, `flagged` if the page says that there is one. Only `page`, `told` and
    `flagged` can be seen, and `mistakes` where mistakes are visible.
    """

    page: int = 0
    wrong: int | None = None
    told: bool = False
    flagged: bool = False
    mistakes: int = 0
    status: Status = "open"


@lru_cache(512)
def draw(wizard: Wizard, seed: int) -> Workflow:
    """The workflow of this seed."""
    rng = random.Random(seed_from("wizard", wizard.name, seed))
    decisive = [True] * (wizard.horizon - wizard.distractors) + [False] * wizard.distractors
    rng.shuffle(decisive)
    if wizard.lessons:
        return Workflow(wizard, tuple(_lesson(wizard, counts, rng) for counts in decisive), ())
    names = rng.sample(sorted(FIELDS), len(FIELDS))
    listed = names[: min(LISTED, sum(decisive))]
    wanted = {name: rng.choice(FIELDS[name]) for name in listed}
    order = _spread(listed, sum(decisive), rng)
    asked = [order.pop() if counts else rng.choice(names[LISTED:]) for counts in decisive]
    pages = [_page(name, wanted, wizard, rng) for name in asked]
    return Workflow(wizard, tuple(pages), tuple(wanted.values()))


def _spread(names: list[str], count: int, rng: random.Random) -> list[str]:
    """`count` of the names, each as often as the others, give or take one, in any order."""
    found = [names[number % len(names)] for number in range(count)]
    rng.shuffle(found)
    return found


def _page(field: str, wanted: dict[str, str], wizard: Wizard, rng: random.Random) -> Page:
    answer = wanted.get(field)
    others = rng.sample([option for option in FIELDS[field] if option != answer], wizard.choices - (answer is not None))
    options = [*others, answer] if answer is not None else others
    rng.shuffle(options)
    shown = tuple(_misspelt(option, rng) if rng.random() < wizard.noise / 100 else option for option in options)
    return Page(field, shown, None if answer is None else options.index(answer))


def _lesson(wizard: Wizard, counts: bool, rng: random.Random) -> Page:
    thing = rng.choice(THINGS[: wizard.lessons] if counts else THINGS[MOST_LESSONS:])
    places = PLACES[: wizard.choices]
    return Page(thing, places, places.index(place_of(thing, wizard.choices)) if counts else None)


def place_of(thing: str, choices: int) -> str:
    """Place of the thing, of this number of places, by the rule of the house.

    The first things, as many as there are places, belong in different ones, and so do the next, so no place is right more often.

    >>> sorted(place_of(thing, 4) for thing in THINGS[:4])
    ['east', 'north', 'south', 'west']
    """
    block, within = divmod(_NUMBER[thing], choices)
    return random.Random(seed_from("wizard", "places", choices, block)).sample(PLACES[:choices], choices)[within]


def _misspelt(word: str, rng: random.Random) -> str:
    """The word with one of its letters replaced by another."""
    place = rng.choice([i for i, letter in enumerate(word) if letter != " "])
    other = rng.choice([letter for letter in "abcdefghijklmnopqrstuvwxyz" if letter != word[place]])
    return f"{word[:place]}{other}{word[place + 1 :]}"


def chosen(workflow: Workflow, progress: Progress, option: int) -> Progress:
    """The progress after this option was chosen on the page that is shown."""
    wizard, at = workflow.wizard, progress.page
    right = workflow.pages[at].right
    wrong, mistakes = progress.wrong, progress.mistakes
    if wrong is None and right is not None and option != right:
        wrong, mistakes = (None, mistakes + 1) if mistakes < wizard.spared else (at, mistakes)
    last = at + 1 == wizard.horizon
    if wrong is not None and (at - wrong >= wizard.delay or last):
        return Progress(wrong, told=True) if wizard.reversible else Progress(at, wrong, mistakes=mistakes, status="refused")
    if last:
        return replace(progress, mistakes=mistakes, status="done", told=False)
    return Progress(at + 1, wrong, flagged=wizard.visible and wrong is not None, mistakes=mistakes)


def gone_back(progress: Progress) -> Progress:
    """The progress after the button that goes back a page, which takes back the choice there."""
    page = max(0, progress.page - 1)
    wrong = None if progress.wrong is not None and progress.wrong >= page else progress.wrong
    return Progress(page, wrong, flagged=progress.flagged and wrong is not None)
