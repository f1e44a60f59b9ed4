"""Scripts that start an episode on a MiniWoB++ page, and that read its state after each turn."""

import json

HOST = "miniwob.localhost"

_PROBE = """(() => {
  if (typeof WEBGYM_EPISODE === 'undefined') return null;
  const demanded = () => { try { return !!(%s) } catch { return false } };
  return [WOB_DONE_GLOBAL, WOB_RAW_REWARD_GLOBAL, WOB_REWARD_REASON, WOB_DONE_GLOBAL ? demanded() : null];
})()"""
"""`Evidence.page_state` of every task: true if the page's episode is over, its score (no time discount), the reason, and whether the page
then is as the manifest demands.

It is asked in the document that the start script began only. None on any other: an easier task's page, or this page loaded again.
"""

# The page's own START cover, clock, score board and click marker are made for people (and the marker writes into the page at each
# click), so they are removed. The goal is text of the observation. Its box keeps its place, because some pages compute positions
# from it, but it is not shown where it has only text. Pictures in it (an icon, a colour) are named, for agents that read text.
# Some pages write what was typed as markup. The policy keeps that from being a script, and from loading one of the site's that evaluates
# markup; all scripts of the page itself are there by now. The site seals its other pages, which markup could open in a frame or a tab.
_START = """(async () => {
  Object.defineProperty(window, 'WEBGYM_EPISODE', {value: %(seed)d});  // of this load of this page, and of no other
  const policy = {httpEquiv: 'Content-Security-Policy', content: "script-src 'unsafe-eval'"};
  document.head.append(Object.assign(document.createElement('meta'), policy));
  Math.seedrandom(%(seed)d);
  core.EPISODE_MAX_TIME = 2147483647;  // the longest timer there is: 24 days
  core.countdownTimer = () => {};
  document.body.removeEventListener('click', core.canvasDrawClick);
  core.startEpisodeReal();
  core.startEpisode = () => {};  // else the cover comes back when the episode ends
  for (const id of ['reward-display', 'click-canvas', 'query-wrap']) {
    const element = document.getElementById(id);
    if (element) element.style.display = 'none';
  }
  if (!%(show_query)s) {
    const query = document.getElementById('query');
    if (query) query.style.visibility = 'hidden';
  }
  const pictures = [...document.querySelectorAll('#query .ui-icon, #query .cc')];
  for (const picture of pictures)
    picture.textContent = picture.style.backgroundColor || `"${picture.className.match(/ui-icon-([\\w-]+)/)[1]}"`;
  const utterance = core.getUtterance();
  for (const picture of pictures) picture.textContent = '';
  while (!WOB_TASK_READY) await new Promise(resolve => setTimeout(resolve, 20));
  return {goal: %(before)s + (typeof utterance === 'string' ? utterance : utterance.utterance)};
})()"""


def probe(demands: str) -> str:
    """JavaScript of the state after a turn; `demands` is an expression over the page that must be true besides its own score."""
    return _PROBE % demands


def start_script(seed: int, goal_prefix: str = "", show_query: bool = False) -> str:
    """JavaScript that starts the page's episode `seed` and resolves to `{goal}` when the page is ready."""
    return _START % {"seed": seed, "before": json.dumps(goal_prefix), "show_query": json.dumps(show_query)}


def address(page: str) -> str:
    """The URL of a page, given as its path in the package without the ending: `miniwob/click-test`."""
    return f"http://{HOST}/{page}.html"
