"""Where the nodes of a graph go: layers from the top down, crossings few.

The layout is fast-sugiyama's, Sugiyama's algorithm as Graphviz' `dot` has it. Why that one: it
installs with pip alone on every platform (Graphviz' Python packages need its `dot` program as
well), needs no other package, is maintained, typed and MIT-licensed, and gives the bends
of edges that pass other layers. (igraph has the same algorithm under the GPL; networkx has no
layered layout that orders nodes within a layer.)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Point = tuple[float, int]
"""A column (not always whole) and a layer, 0 at the top."""


def _library() -> Any:
    try:
        import fast_sugiyama  # only who draws pays
    except ImportError as error:
        raise ImportError("drawing a graph needs the package fast-sugiyama for its layout; "
                          'install it with:  pip install "wengert[show]"') from error
    return fast_sugiyama


def place(count: int, edges: Iterable[tuple[int, int]]) -> tuple[
        list[Point], dict[tuple[int, int], list[Point]]]:
    """Places the nodes 0 to count - 1 of a connected graph without cycles.

    Args:
        count: the number of nodes.
        edges: (from, to) pairs; the order of layers follows them downward.

    Returns:
        A point per node, and per edge the points that it bends at between its ends.

    Raises:
        ImportError: if the layout library is missing; the message names the extra.
    """
    library = _library()
    unique = list(dict.fromkeys(edges))
    if not unique:
        return [(float(i), 0) for i in range(count)], {}
    (positions, _, _, links), = library.from_edges(
        unique, vertex_spacing=1, dummy_vertices=True, dummy_size=0.6, transpose=True,
        ranking_type="minimize", crossing_minimization="barycenter")
    heights = sorted({y for _, (_, y) in positions}, reverse=True)
    points = {node: (x, heights.index(y)) for node, (x, y) in positions}
    following: dict[int, list[int]] = {}
    for start, end in links:
        following.setdefault(start, []).append(end)
    bends = {}
    for start in range(count):
        for step in following.get(start, ()):
            end, route = step, []
            while end >= count:  # a place that the library made for an edge to pass a layer
                route.append(points[end])
                end = following[end][0]
            bends[start, end] = route
    return [points[node] for node in range(count)], bends
