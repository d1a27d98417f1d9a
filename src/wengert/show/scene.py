"""The picture of a Wengert list: boxes, words and arrows at their places, in pixels.

What is drawn is said here once; `svg` and `raster` write it down. Text is monospaced, so that
its width is known without a font.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from . import table
from .layout import Point, place

if TYPE_CHECKING:
    from .drawing import Step

XY = tuple[float, float]

INK, FAINT, LINE, PAPER = "#1b2733", "#5d6b79", "#9aa7b4", "#ffffff"
FORWARD, REVERSE, LOCAL = "#0b62a8", "#b3400a", "#3d6b1f"
FILLS = {"leaf": "#eaf3fb", "result": "#fdf0e7", "": "#f7f8fa"}
STROKES = {"leaf": "#7fb0d8", "result": "#e2a37c", "": "#c3ccd5"}

CHARACTER = 0.602  # the width of a monospaced character, in font sizes
LINE_HEIGHT = 18.0
PAD, GAP_X, GAP_Y, MARGIN = 12.0, 44.0, 84.0, 24.0
WRAP = 40
"""Longer texts are broken into lines."""


@dataclass(frozen=True, slots=True)
class Text:
    x: float
    y: float  # of the baseline
    words: str
    size: float = 12.0
    color: str = INK
    anchor: str = "start"  # "start", "middle" or "end"
    bold: bool = False
    plate: bool = False  # whether it hides the lines behind it

    @property
    def width(self) -> float:
        return len(self.words) * self.size * CHARACTER


@dataclass(frozen=True, slots=True)
class Box:
    x: float
    y: float
    width: float
    height: float
    fill: str
    stroke: str


@dataclass(frozen=True, slots=True)
class Curve:
    """Straight and cubic pieces, end to end: (end,) or (control, control, end)."""

    start: XY
    pieces: tuple[tuple[XY, ...], ...]
    arrow: bool = True


@dataclass(slots=True)
class Scene:
    title: str
    width: float = 0.0
    height: float = 0.0
    curves: list[Curve] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)
    texts: list[Text] = field(default_factory=list)


@dataclass(slots=True)
class _Card:
    """One node before it has a place: its heading, its value, and labelled derivatives."""

    heading: list[str]
    value: list[str]
    rows: list[tuple[str, list[str], str]]  # label, lines, colour
    kind: str
    x: float = 0.0  # of its centre
    y: float = 0.0  # of its top

    @property
    def width(self) -> float:
        lines = [t * CHARACTER * size for size, t in (
            *((14, len(t)) for t in self.heading), *((14, len(t)) for t in self.value),
            *((12, len(label) + 2 + len(t)) for label, texts, _ in self.rows for t in texts))]
        return max(*lines, 76.0) + 2 * PAD

    @property
    def height(self) -> float:
        count = len(self.heading) + len(self.value) + sum(len(lines) for _, lines, _ in self.rows)
        return count * LINE_HEIGHT + 2 * PAD + 4


@dataclass(frozen=True, slots=True)
class _Label:
    """The words on a curve, and where along its last piece they may stand, the best first."""

    curve: Curve
    lines: list[str]
    places: Sequence[float]


def _places(fan_out: bool, fan_in: bool) -> Sequence[float]:
    """Labels stand where curves are apart: near their ends if they start together."""
    if fan_out == fan_in:
        return (0.5, 0.36, 0.64, 0.24, 0.76)
    return (0.7, 0.76, 0.6, 0.5) if fan_out else (0.3, 0.24, 0.4, 0.5)


def compose(steps: Sequence[Step], leaves: Sequence[str], digits: int) -> Scene:
    """The picture of a Wengert list.

    Raises:
        ImportError: if the layout library is missing.
    """
    edges = [(p.source, i) for i, step in enumerate(steps) for p in step.partials]
    points, bends = place(len(steps), edges)
    cards = [_card(step, steps, leaves, digits) for step in steps]
    layers = _arrange(cards, points)
    unit = _unit(cards)
    left = min(*(c.x - c.width / 2 for c in cards),
               *(x * unit - 66 for route in bends.values() for x, _ in route), math.inf)
    scene = Scene(f"Dependency graph of {steps[-1].name}")
    for card in cards:
        card.x += MARGIN - left
        _draw_card(scene, card)
    labels = []
    for i, step in enumerate(steps):
        for p, shift in zip(step.partials, _shifts(step), strict=True):
            route = [(x * unit + MARGIN - left, layers[layer])
                     for x, layer in bends.get((p.source, i), [])]
            curve = _curve(cards[p.source], cards[i], route, shift)
            scene.curves.append(curve)
            fan_out = sum(start == p.source for start, _ in edges) > 1 and not route
            number = table.partial_text(step, p, steps, digits)
            labels.append(_Label(curve, _wrapped(f"∂{step.name}/∂{p.operand} = {number}"),
                                 _places(fan_out, len(step.partials) > 1)))
    _draw_labels(scene, labels)
    _draw_legend(scene, steps, leaves, digits)
    return scene


def _shifts(step: Step) -> Iterator[float]:
    """How far each edge is moved aside: edges between the same two steps run side by side."""
    for i, p in enumerate(step.partials):
        twins = [j for j, q in enumerate(step.partials) if q.source == p.source]
        yield 26.0 * (2 * twins.index(i) - len(twins) + 1)


def _card(step: Step, steps: Sequence[Step], leaves: Sequence[str], digits: int) -> _Card:
    letter, result = table.d(steps), steps[-1].name
    heading = f"{step.name} = {step.operation}" if step.operation else step.name
    rows = [(f"↓ {letter}{step.name}/{letter}{leaf}",
             _wrapped(table.tangent_text(step, leaf, steps, digits)), FORWARD) for leaf in leaves]
    rows.append((f"↑ {letter}{result}/{letter}{step.name}",
                 _wrapped(table.adjoint_text(step, steps, digits)), REVERSE))
    kind = "result" if step is steps[-1] else "" if step.operation else "leaf"
    return _Card(_wrapped(heading), _wrapped(table.value_text(step, digits)), rows, kind)


def _wrapped(text: str) -> list[str]:
    if len(text) <= WRAP:
        return [text]
    return [line for row in text.replace("], [", "],\n [").split("\n")
            for line in textwrap.wrap(row, WRAP, subsequent_indent="  ") or [""]]


def _unit(cards: Sequence[_Card]) -> float:
    return max(card.width for card in cards) + GAP_X


def _arrange(cards: Sequence[_Card], points: Sequence[Point]) -> dict[int, tuple[float, float]]:
    """Puts cards at their points; returns the top and bottom of each layer."""
    unit, top = _unit(cards), MARGIN
    layers = {}
    for layer in range(max(layer for _, layer in points) + 1):
        members = [i for i, point in enumerate(points) if point[1] == layer]
        height = max((cards[i].height for i in members), default=0.0)
        for i in members:
            cards[i].x, cards[i].y = points[i][0] * unit, top + (height - cards[i].height) / 2
        layers[layer] = (top, top + height)
        top += height + GAP_Y
    return layers


def _draw_card(scene: Scene, card: _Card) -> None:
    left, right = card.x - card.width / 2, card.x + card.width / 2
    scene.boxes.append(Box(left, card.y, card.width, card.height, FILLS[card.kind],
                           STROKES[card.kind]))
    y = card.y + PAD + 11
    for line in card.heading:
        scene.texts.append(Text(card.x, y, line, 14, INK, "middle", bold=True))
        y += LINE_HEIGHT
    for line in card.value:
        scene.texts.append(Text(card.x, y, line, 14, INK, "middle"))
        y += LINE_HEIGHT
    y += 4
    for label, lines, color in card.rows:
        scene.texts.append(Text(left + PAD, y, label, 12, color))
        for line in lines:
            scene.texts.append(Text(right - PAD, y, line, 12, color, "end"))
            y += LINE_HEIGHT
    scene.width = max(scene.width, right + MARGIN)
    scene.height = max(scene.height, card.y + card.height)


def _curve(source: _Card, target: _Card, route: Sequence[tuple[float, tuple[float, float]]],
           shift: float) -> Curve:
    """From the foot of one card to the head of another, straight through layers on the way."""
    at = start = (source.x + shift, source.y + source.height)
    pieces: list[tuple[XY, ...]] = []
    for x, (top, bottom) in route:
        pieces += [_bow(at, (x + shift, top)), ((x + shift, bottom),)]
        at = (x + shift, bottom)
    # The ends of edges that meet stay a little apart.
    lean = max(-1.0, min(1.0, (at[0] - target.x) / 60)) * target.width / 6
    pieces.append(_bow(at, (target.x + (shift or lean), target.y)))
    return Curve(start, tuple(pieces))


def _bow(start: XY, end: XY) -> tuple[XY, ...]:
    middle = (start[1] + end[1]) / 2
    return (start[0], middle), (end[0], middle), end


def _on(curve: Curve, t: float) -> XY:
    """A point of the last piece of a curve."""
    start = curve.pieces[-2][-1] if len(curve.pieces) > 1 else curve.start
    a, b, end = curve.pieces[-1]
    weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t ** 3)
    corners = (start, a, b, end)
    return (sum(w * c[0] for w, c in zip(weights, corners, strict=True)),
            sum(w * c[1] for w, c in zip(weights, corners, strict=True)))


def _draw_labels(scene: Scene, labels: Sequence[_Label]) -> None:
    """Writes each label on its curve, where it hides no other if there is such a place."""
    taken: list[tuple[float, float, float, float]] = []
    for label in labels:
        width = max(map(len, label.lines)) * 12 * CHARACTER
        spots = [_rectangle(_on(label.curve, t), width, len(label.lines) * 15.0)
                 for t in label.places]
        spot = next((s for s in spots if not any(_meet(s, other) for other in taken)), spots[0])
        taken.append(spot)
        for i, line in enumerate(label.lines):
            scene.texts.append(Text((spot[0] + spot[2]) / 2, spot[1] + 11.5 + 15 * i, line, 12,
                                    LOCAL, "middle", plate=True))
        scene.width = max(scene.width, spot[2] + MARGIN)


def _rectangle(centre: XY, width: float, height: float) -> tuple[float, float, float, float]:
    x, y = centre
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def _meet(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[0] < b[2] + 4 and b[0] < a[2] + 4 and a[1] < b[3] and b[1] < a[3]


def _draw_legend(scene: Scene, steps: Sequence[Step], leaves: Sequence[str],
                 digits: int) -> None:
    y = scene.height + 34
    columns = max(64, int((scene.width - 2 * MARGIN) / (12 * CHARACTER)))
    for words, color, bold in _legend(steps, leaves, digits):
        for line in textwrap.wrap(words, columns, subsequent_indent="    "):
            text = Text(MARGIN, y, line, 12, color, bold=bold)
            scene.texts.append(text)
            scene.width = max(scene.width, MARGIN * 2 + text.width)
            y += LINE_HEIGHT
    scene.height = y - LINE_HEIGHT + MARGIN


def _legend(steps: Sequence[Step], leaves: Sequence[str],
            digits: int) -> Iterator[tuple[str, str, bool]]:
    letter, result = table.d(steps), steps[-1].name
    yield "on an edge: the local partial derivative", LOCAL, False
    yield f"↓ forward accumulation, from {', '.join(leaves)} to {result}: tangents", FORWARD, False
    yield f"↑ reverse accumulation, from {result} back: adjoints", REVERSE, False
    for line in table.summary(steps, leaves, digits):
        yield line, INK, line.startswith(letter + result)
