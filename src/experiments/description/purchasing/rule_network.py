"""Picture of association rules: goods as nodes, pairs as edges, and no name over another."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

import networkx as nx
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.textpath import TextToPath

from experiments.reports.figures import BLUE, DARK, GREY, WIDTH, cut, dress, require

LONGEST_NAME = 24  # characters
FONT_SIZE, MARKER = 8.0, 7.0  # points
ROOM = 7.0  # points between names
POINTS = 72 * WIDTH - 36  # width of the picture
HEIGHT_OF_A_NODE = 15.0  # points, at first: nodes are pushed apart until names have room
SMALL = 4  # most nodes of a component that leaves room beside it
WIDEST_EDGE = 5.0
STEPS = 2_000


def network_figure(pairs: pd.DataFrame, *, per: str, seed: int = 0) -> Figure:
    """Draw pairs of goods as a network: the wider an edge, the higher the lift, and the larger a node, the more pairs.

    Nodes are laid out by forces along the edges, then moved apart until no name is over another; the picture grows
    downwards as far as that needs. Call `fonts.use_in_pictures` first, which shows names as they are.

    Parameters
    ----------
    pairs : DataFrame
        a, b, count, lift, leverage and baskets, the highest leverage first.
    per : str
        "order" or "customer".
    seed : int
        Of the layout.
    """
    require(pairs, ("a", "b", "count", "lift", "leverage", "baskets"))
    graph = nx.Graph()
    graph.add_edges_from(pairs[["a", "b"]].itertuples(index=False))
    names = {node: in_two_lines(node) for node in graph}
    boxes = {node: _size(name) for node, name in names.items()}
    spots = _apart(_layout(graph, seed), boxes)
    height = max(spot[1] + boxes[node][1] for node, spot in spots.items())
    figure = Figure(figsize=(WIDTH, height / 72 + 1.5), dpi=120)
    total = 72 * figure.get_figheight()
    axes = figure.add_axes((18 / (72 * WIDTH), 40 / total, POINTS / (72 * WIDTH), height / total))
    axes.set(xlim=(0, POINTS), ylim=(height, 0))
    highest = float(pairs["lift"].max())
    for a, b, lift in pairs[["a", "b", "lift"]].itertuples(index=False):
        (x, y), (u, v) = spots[a], spots[b]
        axes.plot([x, u], [y, v], color=GREY, linewidth=_width(lift, highest), alpha=0.6, zorder=1)
    for node, (x, y) in spots.items():
        size = MARKER + 2.0 * min(graph.degree[node] - 1, 4)
        axes.plot([x], [y], marker="o", markersize=size, color=BLUE, markeredgecolor="white", zorder=2)
        axes.text(
            x,
            y + MARKER,
            names[node],
            ha="center",
            va="top",
            fontsize=FONT_SIZE,
            color=DARK,
            zorder=3,
            gid="name",
            bbox={"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.4},
        )
    first = pairs.iloc[0]
    a, b = (cut(first[name], LONGEST_NAME) for name in ("a", "b"))
    dress(
        axes,
        title=f"{a} and {b}:\ntogether {first['lift']:.1f} times as often as by chance",
        subtitle=f"pairs that share most {per}s beyond chance ({len(pairs)}), of {first['baskets']:,} {per}s",
        xlabel="",
        ylabel="",
    )
    axes.set_axis_off()
    shown = np.unique(np.round(np.geomspace(pairs["lift"].min(), highest, 3), 1))
    handles = [Line2D([], [], color=GREY, linewidth=_width(lift, highest), label=f"lift {lift:.1f}") for lift in shown]
    figure.legend(handles=handles, loc="lower left", ncols=len(handles), frameon=False, fontsize=8.5)
    return figure


def in_two_lines(name: str) -> str:
    """Return a name in at most two lines; of a longer one the end too, in which names often differ.

    >>> in_two_lines("Google Men's Vintage Badge Tee Short Sleeve Light Oxford")
    "Google Men's Vintage\\n…ort Sleeve Light Oxford"
    """
    words = " ".join(name.split())
    if len(words) <= LONGEST_NAME:
        return words
    first, *rest = textwrap.wrap(words, LONGEST_NAME)
    last = " ".join(rest)
    return f"{first}\n{last}" if len(last) <= LONGEST_NAME else f"{first}\n…{last[1 - LONGEST_NAME :].lstrip()}"


def _size(name: str) -> tuple[float, float]:
    """Return width and height in points of a node with its name below, and some room."""
    lines = name.split("\n")
    font = FontProperties(size=FONT_SIZE)
    width = max(TextToPath().get_text_width_height_descent(line, font, False)[0] for line in lines)
    return width + ROOM, 1.5 * MARKER + 1.35 * FONT_SIZE * len(lines) + ROOM


def _layout(graph: nx.Graph, seed: int) -> dict[str, np.ndarray]:
    """Return spots in points, of a spring layout of each component: large ones first, small ones three in a row."""
    spots, top, column = {}, HEIGHT_OF_A_NODE, 0
    parts = sorted((sorted(part) for part in nx.connected_components(graph)), key=lambda nodes: (-len(nodes), nodes))
    for nodes in parts:
        own = nx.Graph()  # of nodes in one order, whatever that of the pairs
        own.add_nodes_from(nodes)
        own.add_edges_from(sorted(tuple(sorted(edge)) for edge in graph.subgraph(nodes).edges))
        n_columns = 1 if len(nodes) > SMALL else 3
        width, height = POINTS / n_columns, HEIGHT_OF_A_NODE * max(len(nodes), SMALL)
        for node, (x, y) in nx.spring_layout(own, seed=seed, k=1.5 / np.sqrt(len(nodes))).items():
            across, down = (0.5 + 0.38 * x, 0.5 + 0.5 * y)
            spots[node] = np.array([width * (column + across), top + height * down])
        column = (column + 1) % n_columns
        if not column:
            top += height + 2 * HEIGHT_OF_A_NODE
    return spots


def _apart(spots: Mapping[str, np.ndarray], boxes: Mapping[str, tuple[float, float]]) -> dict[str, np.ndarray]:
    """Move nodes until no two boxes overlap, within the width, and as far down as needed.

    Two boxes that overlap move apart along the direction that takes less; in the last half of the steps downwards only,
    which always comes to an end.
    """
    nodes = sorted(spots)
    at = np.array([spots[node] for node in nodes])
    size = np.array([boxes[node] for node in nodes])
    half = size[:, 0] / 2
    for step in range(STEPS):
        at[:, 0] = np.clip(at[:, 0], half, np.maximum(POINTS - half, half))
        gap = at[:, None] - at[None]
        overlap = (size[:, None] + size[None]) / 2 - np.abs(gap)
        hit = np.argwhere(np.triu((overlap > 1e-9).all(axis=2), k=1))
        if not len(hit):
            break
        for first, second in hit:
            across, down = overlap[first, second]
            if across < down and step < STEPS // 2:
                move = np.array([across / 2 if gap[first, second, 0] >= 0 else -across / 2, 0.0])
            else:
                move = np.array([0.0, down / 2 if gap[first, second, 1] >= 0 else -down / 2])
            at[first] += move
            at[second] -= move
    at[:, 1] += HEIGHT_OF_A_NODE - (at[:, 1] - MARKER).min()
    return {node: spot for node, spot in zip(nodes, at, strict=True)}


def _width(lift: float, highest: float) -> float:
    """Return the width of an edge by the logarithm of its lift: the least at 1, as frequent as by chance, or below."""
    return 0.6 + WIDEST_EDGE * np.log(max(lift, 1.0)) / max(np.log(highest), 1e-9)
