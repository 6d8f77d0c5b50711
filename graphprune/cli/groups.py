"""Channel groups, as data and as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphprune.cli.output import print_line, print_table
from graphprune.errors import InputError

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphprune.analysis.channels import ChannelGroup

_ROLES = {"producers": "makes", "carriers": "carries", "readers": "reads", "companions": "goes along"}


def describe_groups(model: ir.Model, explain: str | None) -> dict[str, Any]:
    """Return the groups of a model and what is blocked, of one node or weight if `explain` names it.

    Raises:
        InputError: Nothing in the model has that name (GP610).
    """
    from graphprune.analysis.channels import channel_layout

    layout = channel_layout(model)
    wanted = None if explain is None else _constants_of(model, explain)
    blocked = [
        {**_entry(group), "code": skip.code, "reason": skip.reason}
        for group, skip in zip(layout.blocked, layout.skips, strict=True)
        if _touches(group, wanted)
    ]
    return {"groups": [_entry(group) for group in layout.groups if _touches(group, wanted)], "blocked": blocked}


def _constants_of(model: ir.Model, name: str) -> set[str]:
    """The constants that a node reads, or the one of that name."""
    nodes = [node for node in model.graph if node.name == name]
    named = {value.name for node in nodes for value in node.inputs if value is not None}
    known = {*model.graph.initializers, *(value.name for node in model.graph for value in node.outputs)}
    if not nodes and name not in known:
        raise InputError(f"no node, weight or value is called '{name}'", code="GP610")
    return {str(each) for each in (*named, name)}


def _touches(group: ChannelGroup, names: set[str] | None) -> bool:
    every = (*group.producers, *group.carriers, *group.readers, *group.companions)
    return names is None or any(each.name in names for each in every)


def _entry(group: ChannelGroup) -> dict[str, Any]:
    slices = {role: [str(each) for each in getattr(group, role)] for role in _ROLES}
    return {"group": group.name, "size": group.size, **slices, "nonzero": group.nonzero}


def print_groups(summary: dict[str, Any]) -> None:
    """Print one line a group, and why others are blocked."""
    rows = [(each["group"], each["size"], *(len(each[role]) for role in _ROLES)) for each in summary["groups"]]
    print_table("channel groups", ("group", ">channels", *(f">{role}" for role in _ROLES)), rows)
    nonzero = [(each["group"], each["nonzero"], "GP379") for each in summary["groups"] if each["nonzero"]]
    if nonzero:
        print_table("not zero where they are read", ("group", "why", "code"), nonzero)
    if summary["blocked"]:
        rows = [(each["group"], each["reason"], each["code"]) for each in summary["blocked"]]
        print_table("blocked", ("group", "why", "code"), rows)


def print_explained(summary: dict[str, Any], name: str) -> None:
    """Print everything that the channels of a node or a weight have."""
    for each in (*summary["groups"], *summary["blocked"]):
        print_line(f"group {each['group']}: {each['size']} channels")
        if why := each.get("reason") or each["nonzero"]:
            print_line(f"  {why} [{each.get('code', 'GP379')}]")
        for role, verb in _ROLES.items():
            for text in each[role]:
                print_line(f"  {verb:<10} {text}")
    if not summary["groups"] and not summary["blocked"]:
        print_line(f"no channels of linear weights run through the constants of '{name}'")
