"""A scene drawn by matplotlib: PNG, PDF and whatever else it writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from . import scene as s

_DPI = 100
_ANCHORS = {"start": "left", "middle": "center", "end": "right"}


def write(scene: s.Scene, path: Path) -> None:
    """Writes a scene to a file of the format that its ending names.

    Raises:
        ImportError: if matplotlib is missing.
        ValueError: if matplotlib does not know the format.
    """
    try:
        from matplotlib.figure import Figure  # heavy: only who draws pays
    except ImportError as error:
        raise ImportError(f"writing {path.suffix} files needs matplotlib; install it with:  "
                          'pip install "wengert[show]"  (.svg needs no matplotlib)') from error
    figure = Figure(figsize=(scene.width / _DPI, scene.height / _DPI), dpi=_DPI)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, scene.width), ylim=(scene.height, 0))
    axes.set_axis_off()
    for curve in scene.curves:
        axes.add_patch(_curve(curve))
    for box in scene.boxes:
        axes.add_patch(_box(box))
    for text in scene.texts:
        _draw_text(axes, text)
    figure.savefig(path, dpi=2 * _DPI, facecolor=s.PAPER)


def _curve(curve: s.Curve) -> Any:
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path as Outline

    points, codes = [curve.start], [Outline.MOVETO]
    for piece in curve.pieces:
        points.extend(piece)
        codes.extend([Outline.LINETO] if len(piece) == 1 else [Outline.CURVE4] * 3)
    return FancyArrowPatch(path=Outline(points, codes), arrowstyle="-|>", mutation_scale=10,
                           color=s.LINE, linewidth=1.1, shrinkA=0, shrinkB=0)


def _box(box: s.Box) -> Any:
    from matplotlib.patches import FancyBboxPatch

    return FancyBboxPatch((box.x, box.y), box.width, box.height, facecolor=box.fill,
                          edgecolor=box.stroke, linewidth=0.8,
                          boxstyle="round,pad=0,rounding_size=7")


def _draw_text(axes: Any, text: s.Text) -> None:
    plate = {"facecolor": s.PAPER, "edgecolor": "none", "pad": 1.5} if text.plate else None
    axes.text(text.x, text.y, text.words.replace("$", r"\$"), color=text.color, bbox=plate,
              fontsize=text.size * 72 / _DPI, family="monospace", zorder=5,
              ha=_ANCHORS[text.anchor], va="baseline",
              fontweight="bold" if text.bold else "normal")
