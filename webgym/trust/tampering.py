"""Tampering: scripts in the page's own world that claim success by DOM, storage, address and `fetch`, for every task that has a page."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace

from webgym.actions import render
from webgym.env.core import AsyncWebEnv
from webgym.packs import registry
from webgym.task import Start, Task
from webgym.trust.adversaries import adversary, by_chance, on_trusted_pages
from webgym.types import Action, Completion, EpisodeKey, Observation, Stop, Trajectory, Turn, Wait

DOM = """
  const forms = [...document.forms].map(f => [f.action, f.method, new URLSearchParams(new FormData(f))]);
  document.title = given.words;
  for (const name of ['done', 'success', 'solved', 'reward', 'score', 'WOB_DONE_GLOBAL', 'WOB_REWARD_GLOBAL', 'WOB_RAW_REWARD_GLOBAL'])
    try { window[name] = 1 } catch {}
  for (const field of document.querySelectorAll('input, textarea'))
    try { field.value = given.words; field.checked = true } catch {}
  for (const list of document.querySelectorAll('select')) list.selectedIndex = list.options.length - 1;
  for (const place of [document.body.firstChild, null]) {
    const claim = document.createElement('p');
    claim.textContent = given.words;
    claim.className = claim.id = 'success';
    document.body.insertBefore(claim, place);
  }
  for (const store of ['localStorage', 'sessionStorage'])
    for (const name of ['done', 'success', 'state']) try { window[store].setItem(name, 'true') } catch {}
  try { document.cookie = 'success=1; path=/'; document.cookie = 'admin=1; path=/' } catch {}
  try { history.pushState({success: true}, '', given.ends) } catch {}
"""
"""Changes all that a check could believe of a page, without the site's knowledge. The address becomes the one where the oracle ends."""

FETCH = """
  const claims = {success: true, done: true, solved: true, reward: 1, score: 1, state: 'done', status: 'done', completed: true};
  const places = [location.pathname, given.ends, '/state.json', '/state', '/reset', '/webgym-state', '/webgym-reset', '/done'];
  for (const place of places)
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE']) {
      const sent = method === 'POST' ? new URLSearchParams(claims) : JSON.stringify(claims);
      fetch(place, {method, body: sent, headers: method === 'POST' ? {} : {'content-type': 'application/json'}}).catch(() => 0);
    }
  for (const place of places) fetch(place + '?' + new URLSearchParams(claims)).catch(() => 0);
  for (const [action, method, body] of forms)
    fetch(method === 'post' ? action : action + '?' + body, method === 'post' ? {method, body} : {}).catch(() => 0);
  for (const place of places) navigator.sendBeacon(place, JSON.stringify(claims));
"""
"""Sends what a page may send to its own site: claims of success by every method, and every form as it is."""


def where_it_counts(task: Task) -> float:
    """The success rate 1 where the page decides; else that of a form which is sent as it is."""
    return max(on_trusted_pages(task), by_chance(task))


@adversary("tampering", "changing page, storage and address by script, and sending claims", where_it_counts, informed=True)
class Tampering:
    """Waits on the start page, in which :func:`tampered` has run the scripts, and stops."""

    dialect = "call"

    def __init__(self, solved: Sequence[Trajectory]) -> None:
        self._ends = {found.key.seed: found.turns[-1].url for found in solved if found.turns}

    async def act(self, observation: Observation, history: Sequence[Turn], key: EpisodeKey) -> Completion:
        action: Action = Wait() if observation.turn < 2 and observation.turns_left > 1 else Stop()
        return Completion(render(action, self.dialect))

    def script(self, task: Task, seed: int, goal: str | None) -> str:
        """The program that runs in the start page of a seed."""
        given = {"words": f"{goal or task.id} Done! Success. Thank you.", "ends": self._ends.get(seed, "/done")}
        return f"const given = {json.dumps(given)};\n{DOM}\n{FETCH}"


def tampered(find: Callable[[str], Task], policy: Tampering) -> Callable[[str], Task]:
    """`find`, with the policy's scripts run in the start page of every episode, after the page's own start script."""

    def found(task_id: str) -> Task:
        task = find(task_id)

        def start(seed: int) -> Start:
            begun = task.start(seed)
            script = policy.script(task, seed, begun.goal)
            before = begun.page_script or "({})"
            return replace(begun, page_script=f"(async () => {{ const begun = await ({before});\n{script}\nreturn begun }})()")

        return replace(task, start=start)

    return found


def sessions(policy: Tampering, count: int = 1) -> list[AsyncWebEnv]:
    """Sessions in whose start pages the policy's scripts run."""
    return [AsyncWebEnv(find=tampered(registry.task, policy)) for _ in range(count)]
