"""Tasks of the keyboard: a terminal."""

import re

from webgym.authoring.oracle import click, things
from webgym.types import Action, Observation, Press, Type

from . import solves


@solves("terminal")
def terminal(page: Observation) -> Action:
    """`ls` lists the files, `rm` removes the one with the right ending; the line being typed is the last after `user$`."""
    field = things(page, "textbox")[0]
    said = " ".join(n.text for n in page.nodes if n is not field).replace("█", "")
    line = said.rsplit("user$", 1)[1].strip()
    if page.focus != field.ref:
        return click(things(page)[0])
    listed = re.search(r"user\$ ls (.*?) user\$", said)
    if listed is None:
        return Press("Enter") if line == "ls" else Type("ls")
    ending = re.search(r"ending with the extension (\.\S+)", page.goal)
    names = listed[1].split()
    name = next(n for n in names if (n.endswith(ending[1]) if ending else "." not in n))
    return Press("Enter") if line == f"rm {name}" else Type(f"rm {name}")
