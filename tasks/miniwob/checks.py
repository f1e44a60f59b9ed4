"""The success check of a MiniWoB++ episode."""

from webgym.task import FAILURE, PENDING, Evidence, Verdict


def check(threshold: float, evidence: Evidence) -> Verdict:
    """Success when the page is done with a raw score of at least `threshold`, failure when it is done with less.

    `evidence.page_state` is the probe's `[done, raw score, reason, as demanded]`. The raw score has no time discount. Many pages give part
    of it for part of the work, and some for no work at all (an empty Submit of click-checkboxes wins 38% of its episodes when any
    score above 0 counts), so only the full score is success, and only where the page also is as the manifest demands. An agent fails
    if it says that it is done, or that the task cannot be done, before the page is done.
    """
    state = evidence.page_state
    if not isinstance(state, list) or len(state) < 4 or not state[0]:  # None: the page was left, or is loading
        return FAILURE if evidence.ended else PENDING
    raw_reward, reason, demanded = float(state[1] or 0.0), str(state[2] or ""), state[3]
    if raw_reward >= threshold and demanded is not True:
        return Verdict("failure", raw_reward, "the page gave its full score for less than its goal asks for")
    return Verdict("success" if raw_reward >= threshold else "failure", raw_reward, reason)
