"""A scene as the text of an SVG file."""

from __future__ import annotations

from html import escape

from . import scene as s

_FONT = "'DejaVu Sans Mono', Menlo, Consolas, 'Liberation Mono', monospace"


def to_svg(scene: s.Scene) -> str:
    """The SVG text: one file, no scripts, no fonts to fetch."""
    w, h = round(scene.width), round(scene.height)
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{w}" height="{h}" '
        f'viewBox="0 0 {w} {h}" role="img" font-family="{_FONT}">',
        f"<title>{escape(scene.title)}</title>",
        '<defs><marker id="wengert-arrow" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" '
        f'markerHeight="7" orient="auto"><path d="M0 1 L10 5 L0 9 z" fill="{s.LINE}"/>'
        "</marker></defs>",
        f'<rect width="{w}" height="{h}" rx="8" fill="{s.PAPER}"/>',
        *map(_curve, scene.curves), *map(_box, scene.boxes), *map(_text, scene.texts), "</svg>",
    ]) + "\n"


def _curve(curve: s.Curve) -> str:
    path = [f"M{_pair(curve.start)}"]
    for piece in curve.pieces:
        path.append(("L" if len(piece) == 1 else "C") + " ".join(map(_pair, piece)))
    return (f'<path d="{" ".join(path)}" fill="none" stroke="{s.LINE}" stroke-width="1.5" '
            'marker-end="url(#wengert-arrow)"/>')


def _box(box: s.Box) -> str:
    return (f'<rect x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" '
            f'height="{box.height:.1f}" rx="7" fill="{box.fill}" stroke="{box.stroke}"/>')


def _text(text: s.Text) -> str:
    more = f' text-anchor="{text.anchor}"' if text.anchor != "start" else ""
    more += ' font-weight="bold"' if text.bold else ""
    return _plate(text) + (
            f'<text x="{text.x:.1f}" y="{text.y:.1f}" font-size="{text.size:g}" '
            f'fill="{text.color}" xml:space="preserve"{more}>{escape(text.words)}</text>')


def _plate(text: s.Text) -> str:
    if not text.plate:
        return ""
    return (f'<rect x="{text.x - text.width / 2 - 3:.1f}" y="{text.y - 11.5:.1f}" '
            f'width="{text.width + 6:.1f}" height="15" fill="{s.PAPER}"/>')


def _pair(point: s.XY) -> str:
    return f"{point[0]:.1f},{point[1]:.1f}"
