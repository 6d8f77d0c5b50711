"""What is in a candidate, as bars: zeros and damage by layer, time by kernel beside its limit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from markupsafe import Markup

from graphprune.reporting.page.bars import Bar, bars
from graphprune.reporting.page.entries import Entry, is_drawn
from graphprune.reporting.page.numbers import ms, percent, ratio, significant
from graphprune.reporting.page.svg import Names
from graphprune.reporting.report import KernelReport, LayerReport

MOST = 40
"""How many bars a picture has at most; tables have all."""

Item = TypeVar("Item")


@dataclass(frozen=True)
class Chart:
    """A picture with its title and a sentence on what is in it; or the sentence alone, where nothing can be drawn."""

    title: str
    note: str
    drawn: Markup | None = None


def charts(entry: Entry) -> list[Chart]:
    """The pictures of a candidate."""
    return [_zeros(entry), _damage(entry), _kernels(entry)]


def zero_share(layer: LayerReport) -> float | None:
    """Which share of a layer's elements is zero."""
    return ratio(layer.zeros, layer.elements)


def _zeros(entry: Entry) -> Chart:
    title, layers = "Zeros by layer", entry.candidate.layers
    if not any(layer.zeros for layer in layers):
        return Chart(title, "No layer has zeros." if layers else "No layers are known.")
    shown = _largest(layers, lambda layer: layer.elements)
    rows = [_zero_bar(layer) for layer in shown]
    what = "Share of each weight that is zero or went with channels; a full bar is all of it."
    note = f"{what} {_more(shown, layers, 'largest', 'layers')}"
    return _draw(entry, "zeros", title, note, rows)


def _zero_bar(layer: LayerReport) -> Bar:
    share = zero_share(layer)
    details = f"{layer.name}: {layer.zeros:,} of {layer.elements:,} are zero or gone"
    return Bar(layer.name, percent(share), share or 0.0, details=details)


def _damage(entry: Entry) -> Chart:
    title = "Damage by layer"
    layers = [(layer.name, layer.damage) for layer in entry.candidate.layers if layer.damage is not None]
    known = [(name, damage) for name, damage in layers if is_drawn(damage)]
    most = max((damage for _, damage in known), default=0.0)
    if most <= 0:
        return Chart(title, "No layer errs on the samples." if known else "The damage of layers is not known.")
    shown = _largest(known, lambda layer: layer[1])
    rows = [Bar(name, percent(damage), damage / most) for name, damage in shown]
    unknown = len(entry.candidate.layers) - len(known)
    left_out = f" That of {unknown} more is not known." if unknown else ""
    what = f"What a layer's outputs err by, as a share of their size; a full bar is {percent(most)}."
    return _draw(entry, "damage", title, f"{what} {_more(shown, known, 'worst', 'layers')}{left_out}", rows)


def _kernels(entry: Entry) -> Chart:
    title, kernels = "Time by kernel", entry.candidate.kernels
    known = [kernel for kernel in kernels if is_drawn(kernel.ms) and is_drawn(kernel.limit_ms)]
    most = max((max(kernel.ms, kernel.limit_ms) for kernel in known), default=0.0)
    if most <= 0:
        return Chart(title, "No time of a kernel is known.")
    shown = sorted(_largest(known, lambda kernel: kernel.ms), key=lambda kernel: -kernel.ms)
    total, least = sum(kernel.ms for kernel in known), sum(kernel.limit_ms for kernel in known)
    what = f"Time taken, and in it as a thin bar the least possible; a full bar is {ms(most)}."
    sums = f"All kernels: {ms(total)}, at least {ms(least)}."
    note = f"{what} {_more(shown, kernels, 'longest', 'kernels')} {sums}"
    return _draw(entry, "kernels", title, note, [_kernel_bar(kernel, most) for kernel in shown])


def _kernel_bar(kernel: KernelReport, most: float) -> Bar:
    number = f"{ms(kernel.ms)}, least {significant(kernel.limit_ms)}"
    details = f"{kernel.kernel} of {kernel.node} ({kernel.operators}): {number}"
    return Bar(kernel.node or kernel.operators, number, kernel.ms / most, kernel.limit_ms / most, details)


def _largest(items: Sequence[Item], key: Callable[[Item], float]) -> list[Item]:
    """So many of them as a picture has room for, in their own order."""
    first = sorted(range(len(items)), key=lambda number: -key(items[number]))[:MOST]
    return [items[number] for number in sorted(first)]


def _more(shown: Sequence[object], of: Sequence[object], which: str, what: str) -> str:
    """Say whether all are in the picture."""
    if len(shown) == len(of):
        return f"All {what} ({len(of)})."
    return f"The {len(shown)} {which} {what}; {len(of) - len(shown)} more are in the table."


def _draw(entry: Entry, kind: str, title: str, note: str, rows: Sequence[Bar]) -> Chart:
    names = Names(f"{kind}-{entry.number}", f"{title} of {entry.candidate.name}", note)
    return Chart(title, note, bars(names, rows))
