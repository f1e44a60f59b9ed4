"""TRL's `rollout_func` (1.16): whole episodes as token ids, for models and prompts that TRL's own tool loop does not fit.

    rollouts = Rollouts()                                 # or Rollouts("http://host:8000/TOKEN")
    trainer = GRPOTrainer(
        model, reward_funcs=episode_reward, rollout_func=rollouts, train_dataset=Dataset.from_list(rollout_rows(["mail.*"], range(100)))
    )

`rollout_func` is given nothing of a row but its prompt, so the prompt names the episode: `mail.star#5` is seed 5 of that task. The members
of a group have one prompt and see one instance. A conversation is built of ids: the first page by the model's own chat template, each
answer as it was sampled, and each later page as a user's message. `env_mask` is 1 for sampled tokens only. No page can write a control
token (:mod:`trainers.models.chat_template`); TRL's own tool loop has no such guard.

A model needs no tools in its template. It writes actions as text, in the `call` dialect unless told otherwise. A fault of the machinery
has the reward None, which TRL leaves out of the group's mean, and no token of that episode is learned from.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from trainers.models.prompt_ids import Context
from webgym.errors import Fault, UsageError
from webgym.packs import sets
from webgym.prompts.parts import Message, Prompt, TextPart
from webgym.prompts.prompt import system_text
from webgym.prompts.settings import PromptSettings
from webgym.serve.client import Episodes, episodes
from webgym.serve.messages import Seen

T = TypeVar("T")

Generated = tuple[list[list[int]], list[list[float]] | None]
"""Answers to a batch of prompts, and the log-probabilities of their tokens; None where the generator gives none."""

AT_ONCE = 32
"""Most sessions that act at the same time."""


def rollout_rows(tasks: Iterable[str], seeds: Iterable[int]) -> list[dict[str, str]]:
    """Rows of a dataset: each seed of each task (ids, sets or patterns) as a prompt that names it, such as `mail.star#5`."""
    chosen = sets.choose(tasks)
    return [{"prompt": f"{task}#{seed}"} for seed in seeds for task in chosen]


def episode_reward(completions: list[Any], reward: list[float | None], **others: Any) -> list[float | None]:
    """The reward function that goes with :class:`Rollouts`: 1 for success, else 0, and None where the machinery failed."""
    return reward


def with_trl(trainer: Any, prompts: list[list[int]], most: int) -> Generated:
    """Answers of at most `most` tokens by TRL's own generation: transformers, or vLLM where the trainer uses it."""
    holder, name = (trainer.vllm_generation, "max_completion_length") if trainer.use_vllm else (trainer.generation_config, "max_new_tokens")
    before = getattr(holder, name)
    setattr(holder, name, most)
    try:
        return trainer._generate_single_turn(prompts, None, {}, 1)
    finally:
        setattr(holder, name, before)


class Rollouts:
    """The `rollout_func` of a GRPOTrainer: plays the episodes that the prompts name, all at the same time, and keeps its sessions.

    `url` is a server (`webgym serve`); without one, episodes are played in this process on `backend`. `connect` opens a session by another
    protocol. `most` is the number of the page's lines in a prompt, `turn_tokens` the longest answer of a turn, and `dialect` that of the
    actions. An episode that is longer than the trainer's `max_completion_length` ends there, with reward 0.
    """

    def __init__(
        self,
        url: str = "",
        *,
        backend: str = "browser",
        dialect: str = "call",
        most: int = 400,
        turn_tokens: int = 256,
        connect: Callable[[], Episodes] | None = None,
        generate: Callable[[Any, list[list[int]], int], Generated] = with_trl,
    ) -> None:
        self._connect = connect or partial(episodes, url, backend=backend)
        self._settings = PromptSettings.from_json({"dialect": dialect, "context": "conversation"})
        self._most, self._turn_tokens, self._generate = most, turn_tokens, generate
        self._sessions: list[Episodes] = []

    def __call__(self, prompts: Sequence[str], trainer: Any) -> dict[str, Any]:
        """The episodes in TRL's form: prompt_ids, completion_ids, logprobs, env_mask, and the reward of each. Raises UsageError."""
        tokenizer = getattr(trainer.processing_class, "tokenizer", trainer.processing_class)
        context = Context(tokenizer, self._settings, _ends(trainer))
        most = trainer.args.max_completion_length or (1 << 30)
        while len(self._sessions) < len(prompts):
            self._sessions.append(self._connect())
        played = [_Episode(prompt, session, context, self._most) for prompt, session in zip(prompts, self._sessions, strict=False)]
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="webgym-trl") as threads:
            _all(threads, [partial(each.begin, self._settings.dialect) for each in played])
            while live := [each for each in played if not each.over]:
                answers, logprobs = self._generate(trainer, [each.ids for each in live], self._turn_tokens)
                for each, ids, chances in zip(live, answers, logprobs or [None] * len(live), strict=True):
                    each.answer(ids, chances, most)
                texts = [tokenizer.decode(ids, skip_special_tokens=True) for ids in answers]
                _all(threads, [partial(each.act, text, most) for each, text in zip(live, texts, strict=True) if not each.over])
        known = all(each.logprobs is not None for each in played)
        return {
            "prompt_ids": [each.prompt_ids for each in played],
            "completion_ids": [each.completion for each in played],
            "logprobs": [each.logprobs for each in played] if known else None,
            "env_mask": [each.mask for each in played],
            "reward": [each.reward for each in played],
        }

    def close(self) -> None:
        """End the sessions."""
        for session in self._sessions:
            session.close()
        self._sessions.clear()


class _Episode:
    """One episode while it is played, as ids."""

    def __init__(self, prompt: str, session: Episodes, context: Context, most: int) -> None:
        self._task, mark, seed = prompt.rpartition("#") if isinstance(prompt, str) else ("", "", "")
        if not mark or not (seed.isascii() and seed.isdigit()):
            raise UsageError(f"expected prompts such as 'mail.star#5', as rollout_rows() writes them, got {prompt!r:.100}")
        self._seed, self._session, self._context, self._lines = int(seed), session, context, most
        self.prompt_ids: list[int] = []
        self.completion: list[int] = []
        self.mask: list[int] = []
        self.logprobs: list[float] | None = []
        self.reward: float | None = 0.0
        self.over = False

    @property
    def ids(self) -> list[int]:
        """The ids that the model reads at this turn."""
        return self.prompt_ids + self.completion

    def begin(self, dialect: str) -> None:
        """The first page."""
        try:
            seen = self._session.begin(self._task, self._seed, dialect=dialect).observation
        except Fault:
            self.prompt_ids = [*self._context.first(_user("The machinery failed."))]
            self._fail()
            return
        words = seen.text(goal=True, most=self._lines)
        self.prompt_ids = [*self._context.first(Prompt((Message("system", (TextPart(system_text(dialect)),)), *_user(words).messages)))]

    def answer(self, ids: Sequence[int], logprobs: Sequence[float] | None, most: int) -> None:
        """Add what the model sampled; where the completion has no room for more, the episode ends."""
        self._add([*ids][: most - len(self.completion)], 1, logprobs)
        self.over = len(self.completion) >= most

    def act(self, text: str, most: int) -> None:
        """Perform the answer, and add the page that follows; where it has no room, the episode ends."""
        last = self.completion[-1:]
        try:
            turned = self._session.act(text)
        except Fault:
            self._fail()
            return
        if turned.done:
            self.reward = turned.reward
            self.over = True
            return
        page = self._context.following(_user(self._shown(turned.observation)), last)
        if len(self.completion) + len(page) >= most:
            self.over = True
        else:
            self._add(page, 0, None)

    def _shown(self, seen: Seen) -> str:
        return seen.text(most=self._lines)

    def _add(self, ids: Sequence[int], sampled: int, logprobs: Sequence[float] | None) -> None:
        self.completion += ids
        self.mask += [sampled] * len(ids)
        if sampled and logprobs is None:
            self.logprobs = None
        elif self.logprobs is not None:
            self.logprobs += [*(logprobs or [0.0] * len(ids))][: len(ids)]

    def _fail(self) -> None:
        """A fault: nothing of the episode is learned from, and its reward is unknown."""
        if not self.completion:
            self._add(self._context.following(_user(""), ()), 0, None)  # TRL wants a completion of one token at least
        self.mask = [0] * len(self.mask)
        self.reward = None
        self.over = True


def _user(words: str) -> Prompt:
    return Prompt((Message("user", (TextPart(words),)),))


def _ends(trainer: Any) -> set[int]:
    """The tokens at which TRL's generation ends an answer: those of the trainer's own settings, and of the model's."""
    settings = [getattr(holder, "generation_config", None) for holder in (trainer, getattr(trainer, "model", None))]
    ends = [getattr(each, "eos_token_id", None) for each in settings]
    return {end for each in ends for end in (each if isinstance(each, list) else [each]) if end is not None}


def _all(threads: ThreadPoolExecutor, calls: Iterable[Callable[[], T]]) -> list[T]:
    """The results of all calls, made side by side."""
    return [each.result() for each in [threads.submit(call) for call in calls]]
