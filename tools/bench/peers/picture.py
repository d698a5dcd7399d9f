# SPDX-License-Identifier: MIT
"""The picture of a comparison: bars of operations a second, readable on light and on dark. Knows no store."""
from collections import namedtuple
from xml.sax.saxutils import escape

# An engine that has no bars, but strokes across those of the first row; and what the legend says of them.
Mark = namedtuple("Mark", ["name", "meaning"])

ROW, BAR, TOP, NAMES, PANEL, LONGEST = 38, 13, 78, 150, 350, 280
PANELS = [("get", "get"), ("put", "put (replace)")]

STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #24292f }
  .title { font-weight: 600; font-size: 14px }
  .small { font-size: 11px; fill: #57606a }
  .one { fill: #8c959f } .two { fill: #c4cbd3 }
  .own.one { fill: #0969da } .own.two { fill: #80b6f4 } .mark { fill: #24292f }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .small { fill: #9198a1 }
    .one { fill: #7d8590 } .two { fill: #484f58 }
    .own.one { fill: #4493f8 } .own.two { fill: #1f5fae } .mark { fill: #e6edf3 }
  }
"""


def rate(value):
    """A rate in three digits."""
    for unit, name in ((1e6, " M"), (1e3, " k")):
        if value >= unit:
            return f"{value / unit:.3g}{name}"
    return f"{value:.0f}"


def bar(x, y, length, kind, label):
    """One bar with its figure behind it."""
    return (f'<rect class="{kind}" x="{x}" y="{y}" width="{max(length, 1):.1f}" height="{BAR}" rx="2"/>'
            f'<text class="small" x="{x + max(length, 1) + 5:.1f}" y="{y + BAR - 2.5}">{label}</text>')


def stroke(x, y):
    """Where a bar would have ended otherwise."""
    return f'<rect class="mark" x="{x - 1:.1f}" y="{y - 1}" width="2" height="{BAR + 2}"/>'


def panel(figures, workload, order, mark, x):
    """The bars of one operation, by one process and by two together."""
    names = order + ([mark.name] if mark else [])
    rates = {(name, count): figures.median(name, (workload, count), "per_second") for name in names for count in (1, 2)}
    scale = LONGEST / max(value for value in rates.values() if value)
    lines = []
    for row, name in enumerate(order):
        own = "own " if row == 0 else ""
        for count, kind in ((1, "one"), (2, "two")):
            value = rates[name, count]
            y = TOP + row * ROW + (count - 1) * (BAR + 1)
            if value:
                lines.append(bar(x, y, value * scale, own + kind, rate(value)))
                if row == 0 and mark and rates[mark.name, count]:
                    lines.append(stroke(x + rates[mark.name, count] * scale, y))
            else:
                lines.append(f'<text class="small" x="{x + 5}" y="{y + BAR - 2.5}">one process only</text>')
    return lines


def legend(mark):
    """What the shades mean."""
    lines = [f'<rect class="one" x="{NAMES}" y="31" width="{BAR}" height="{BAR}" rx="2"/>'
             f'<text class="small" x="{NAMES + 18}" y="42">one process</text>'
             f'<rect class="two" x="{NAMES + 95}" y="31" width="{BAR}" height="{BAR}" rx="2"/>'
             f'<text class="small" x="{NAMES + 113}" y="42">two processes together</text>']
    if mark:
        lines.append(f'{stroke(NAMES + 250, 31)}<text class="small" x="{NAMES + 258}" y="42">{escape(mark.meaning)}</text>')
    return lines


def draw(figures, order, shown_name, mark=None):
    """The whole picture; the first of the order stands out."""
    width, height = NAMES + len(PANELS) * PANEL + 20, TOP + len(order) * ROW + 12
    data = figures.data
    lines = [
        "<!-- SPDX-License-Identifier: MIT; made by tools/bench-peers -->",
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img">',
        "<title>Operations a second of Holdfast and other stores</title>",
        f"<style>{STYLE}</style>",
        f'<text class="small" x="{NAMES}" y="20">Operations a second; {data["entries"]:,} entries of {data["key_size"]} + '
        f'{data["value_size"]} bytes, keys drawn evenly, tmpfs, {data["machine"]["cores"]} cores. Longer is better.</text>',
        *legend(mark),
    ]
    for row, name in enumerate(order):
        weight = ' class="title"' if row == 0 else ""
        lines.append(f'<text{weight} x="{NAMES - 10}" y="{TOP + row * ROW + BAR + 5}" text-anchor="end">'
                     f"{escape(shown_name(name))}</text>")
    for index, (workload, title) in enumerate(PANELS):
        x = NAMES + index * PANEL
        lines.append(f'<text class="title" x="{x}" y="{TOP - 10}">{title}</text>')
        lines += panel(figures, workload, order, mark, x)
    return "\n".join(lines + ["</svg>"]) + "\n"
