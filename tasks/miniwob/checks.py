"""The success check of a MiniWoB++ episode."""

from webgym.task import FAILURE, PENDING, Evidence, Verdict


def check(threshold: float, evidence: Evidence) -> Verdict:
    """Success when the page is done with a raw score of at least `threshold`, failure when it is done with less.

    `evidence.page_state` is the probe's `[done, raw score, reason]`. The raw score has no time discount. Many pages give part of it
    for part of the work, and some for no work at all (an empty Submit of click-checkboxes wins 38% of its episodes when any
    score above 0 counts), so only the full score is success. An agent fails if it says that it is done, or that the task cannot
    be done, before the page is done.
    """
    state = evidence.page_state
    if not isinstance(state, list) or len(state) < 2 or not state[0]:  # None: the page was left, or is loading
        return FAILURE if evidence.ended else PENDING
    raw_reward = float(state[1] or 0.0)
    message = str(state[2]) if len(state) > 2 and state[2] else ""
    return Verdict("success" if raw_reward >= threshold else "failure", raw_reward, message)
