"""Small SVG plots that read on light and on dark pages: their colours follow the reader's setting."""

import math
from collections.abc import Mapping, Sequence
from statistics import median
from xml.sax.saxutils import escape

from rounds import Outcome

WIDTH = 760  #: user units; the picture scales
COLOURS = 6  #: classes s0 to s5
STYLE = """\
<style>
  svg { color-scheme: light dark; background: transparent }
  text { font: 13px system-ui, sans-serif; fill: #24292f }
  .quiet { fill: #57606a; font-size: 11px }
  .grid { stroke: #d0d7de; stroke-width: 1 }
  .bar { fill: #8c959f } .house { fill: #0969da }
  .line { fill: none; stroke-width: 1.6 }
  .s0 { stroke: #0969da; fill: #0969da } .s1 { stroke: #bc4c00; fill: #bc4c00 } .s2 { stroke: #1a7f37; fill: #1a7f37 }
  .s3 { stroke: #8250df; fill: #8250df } .s4 { stroke: #9a6700; fill: #9a6700 } .s5 { stroke: #cf222e; fill: #cf222e }
  .line.s0, .line.s1, .line.s2, .line.s3, .line.s4, .line.s5 { fill: none }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .quiet { fill: #8d96a0 } .grid { stroke: #3d444d }
    .bar { fill: #656c76 } .house { fill: #4493f8 }
    .s0 { stroke: #4493f8; fill: #4493f8 } .s1 { stroke: #f0883e; fill: #f0883e }
    .s2 { stroke: #3fb950; fill: #3fb950 } .s3 { stroke: #ab7df8; fill: #ab7df8 }
    .s4 { stroke: #d29922; fill: #d29922 } .s5 { stroke: #f85149; fill: #f85149 }
    .line.s0, .line.s1, .line.s2, .line.s3, .line.s4, .line.s5 { fill: none }
  }
</style>"""


def speeds(outcomes: Sequence[Outcome]) -> str:
    """Return a bar per subject and case: calls per second, on a logarithmic scale."""
    figures: dict[str, list[float]] = {}
    for one in outcomes:
        if one.connections and one.subject != "direct":
            figures.setdefault(f"{one.subject}: {one.case}", []).append(one.per_second)
    bars = sorted(((median(values), name) for name, values in figures.items()), reverse=True)
    left, right, row, top = 262, 70, 24, 34
    height = top + row * len(bars) + 26
    decades = range(max(1, math.ceil(math.log10(max(speed for speed, _ in bars)))) + 1)
    scale = (WIDTH - left - right) / decades[-1]
    parts = [_text(0, 16, "tools/call per second, one core, 16 connections (logarithmic)")]
    for decade in decades:
        x = left + scale * decade
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{top - 6}" y2="{height - 20}"/>')
        parts.append(_text(x, height - 6, f"{10**decade:,}", kind="quiet", anchor="middle"))
    for index, (speed, name) in enumerate(bars):
        y = top + row * index
        width = scale * math.log10(max(speed, 1.0))
        kind = "house" if name.startswith("portico") else "bar"
        parts.append(_text(left - 8, y + 13, name, anchor="end"))
        parts.append(f'<rect class="{kind}" x="{left}" y="{y}" width="{max(width, 1):.1f}" height="{row - 8}" rx="2"/>')
        parts.append(_text(left + width + 6, y + 13, f"{speed:,.0f}"))
    return _svg(height, "Calls per second of Portico, nginx and peers", parts)


def lines(title: str, panels: Sequence[tuple[str, Mapping[str, Sequence[tuple[float, float]]]]]) -> str:
    """Return one panel under the other; each has a unit and named series of (minute, value), from zero."""
    left, tall, gap = 62, 130, 46
    height = 30 + len(panels) * (tall + gap)
    end = max((x for _, series in panels for points in series.values() for x, _ in points), default=1.0) or 1.0
    names = list(dict.fromkeys(name for _, series in panels for name in series))
    colours = {name: f"s{number % COLOURS}" for number, name in enumerate(names)}
    parts = [_text(0, 16, title)]
    for index, (unit, series) in enumerate(panels):
        top = 44 + index * (tall + gap)
        parts += _panel(unit, series, colours, top=top, left=left, tall=tall, end=end)
    return _svg(height, title, parts)


def _panel(
    unit: str,
    series: Mapping[str, Sequence[tuple[float, float]]],
    colours: Mapping[str, str],
    *,
    top: float,
    left: float,
    tall: float,
    end: float,
) -> list[str]:
    most = _round_up(max((y for points in series.values() for _, y in points), default=1.0))
    across = (WIDTH - left - 12) / end
    parts = [_text(0, top - 8, unit, kind="quiet")]
    for part in range(5):
        y = top + tall - tall * part / 4
        parts.append(f'<line class="grid" x1="{left}" x2="{WIDTH - 12}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(_text(left - 6, y + 4, f"{most * part / 4:,.5g}", kind="quiet", anchor="end"))
    for part in range(7):
        x = left + across * end * part / 6
        parts.append(
            _text(
                x, top + tall + 16, f"{end * part / 6:.3g} min", kind="quiet", anchor="end" if part == 6 else "middle"
            )
        )
    at = left
    for name, points in series.items():
        drawn = " ".join(f"{left + across * x:.1f},{top + tall - tall * y / most:.1f}" for x, y in points)
        colour = colours[name]
        parts.append(f'<polyline class="line {colour}" points="{drawn}"/>')
        parts.append(f'<rect class="{colour}" x="{at + 60}" y="{top - 16}" width="10" height="4"/>')
        parts.append(_text(at + 74, top - 9, name, kind="quiet"))
        at += 34 + 7 * len(name)
    return parts


def _round_up(value: float) -> float:
    if value <= 0:
        return 1.0
    unit = 10 ** math.floor(math.log10(value))
    return next(step * unit for step in (1, 2, 4, 5, 8, 10) if step * unit >= value)


def _text(x: float, y: float, text: str, *, kind: str = "", anchor: str = "start") -> str:
    shown = f' class="{kind}"' if kind else ""
    return f'<text{shown} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(height: float, title: str, parts: Sequence[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" role="img">'
    return "\n".join([head, f"<title>{escape(title)}</title>", STYLE, *parts, "</svg>\n"])
