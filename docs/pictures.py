"""Pictures of the landing page as SVG, made from docs/benchmarks/*.json; docs/generate.py writes them.

They are drawn for a width of 440 pixels, so that they can be read on a telephone, and have colours for light
and dark pages. Needs Python 3.8, nothing else.
"""

import math
from html import escape

WIDTH, HEIGHT = 440, 320
LEFT, RIGHT, TOP, BOTTOM = 58, 16, 40, 48

# Colours that people who see fewer of them can tell apart (Okabe & Ito), lighter on dark pages.
STYLE = """
text { font: 13px Helvetica, Arial, sans-serif; fill: #333 }
.page { fill: #fff } .title { font-size: 14px; font-weight: bold }
.axis { stroke: #888 } .grid { stroke: #8883 }
.a { --c: #0072b2 } .b { --c: #d55e00 } .c { --c: #777 }
.line { stroke: var(--c); stroke-width: 2; fill: none } .point { fill: var(--c) } text.a, text.b, text.c { fill: var(--c) }
.thin { stroke: #8888; stroke-dasharray: 4 3 } .between { fill: #0072b2; opacity: .15 }
@media (prefers-color-scheme: dark) {
  .page { fill: #1c1d1f } text { fill: #ddd } .a { --c: #56b4e9 } .b { --c: #ff9a4d } .c { --c: #aaa } .between { fill: #56b4e9 }
}
"""


class Plot:
    """A frame with axes, to which marks are added in units of the data."""

    def __init__(self, title, x, y, x_label, y_label, logarithmic_x=False, logarithmic_y=False):
        self.x_range, self.y_range = x, y
        self.logarithmic = logarithmic_x, logarithmic_y
        self.parts = [f'<text class="title" x="{LEFT}" y="20">{escape(title)}</text>',
                      f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x_label)}</text>',
                      f'<text transform="translate(14 {(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" text-anchor="middle">'
                      f'{escape(y_label)}</text>']

    def at(self, x, y):
        places = []
        for value, (low, high), logarithmic in zip((x, y), (self.x_range, self.y_range), self.logarithmic):
            if logarithmic:
                value, low, high = math.log10(value), math.log10(low), math.log10(high)
            places.append((value - low) / (high - low))
        return LEFT + places[0] * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - places[1] * (HEIGHT - TOP - BOTTOM)

    def ticks(self, xs, ys):
        """Pairs of a value and its text."""
        bottom, top = HEIGHT - BOTTOM, TOP
        for value, text in xs:
            x = self.at(value, self.y_range[0])[0]
            self.parts.append(f'<path class="axis" d="M{x:.1f} {bottom}v5"/>'
                              f'<text x="{x:.1f}" y="{bottom + 19}" text-anchor="middle">{text}</text>')
        for value, text in ys:
            y = self.at(self.x_range[0], value)[1]
            self.parts.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>'
                              f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{text}</text>')
        self.parts.append(f'<path class="axis" fill="none" d="M{LEFT} {top}V{bottom}H{WIDTH - RIGHT}"/>')

    def path(self, points, kind, close=False):
        places = " ".join(f"{x:.1f},{y:.1f}" for x, y in (self.at(*point) for point in points))
        self.parts.append(f'<{"polygon" if close else "polyline"} fill="none" class="{kind}" points="{places}"/>')

    def point(self, x, y, kind, square=False):
        x, y = self.at(x, y)
        self.parts.append(f'<rect class="point {kind}" x="{x - 4.5:.1f}" y="{y - 4.5:.1f}" width="9" height="9"/>' if square
                          else f'<circle class="point {kind}" cx="{x:.1f}" cy="{y:.1f}" r="5"/>')

    def text(self, x, y, text, kind="", anchor="start", shift=(0, 0)):
        x, y = self.at(x, y)
        self.parts.append(f'<text class="{kind}" x="{x + shift[0]:.1f}" y="{y + shift[1]:.1f}" text-anchor="{anchor}">'
                          f'{escape(text)}</text>')

    def svg(self):
        return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}">\n'
                f'<style>{STYLE}</style>\n<rect class="page" width="100%" height="100%"/>\n' + "\n".join(self.parts) + "\n</svg>\n")


def power(exponent):
    return f'10<tspan dy="-5" font-size="10">{str(exponent).replace("-", "&#8722;")}</tspan>'


def seconds(figures):
    """Test error against seconds of training, beside libtorch."""
    plot = Plot("Test error against seconds of training", (2, 130), (1e-6, 3e-2), "seconds", "relative squared error",
                True, True)
    plot.ticks([(t, str(t)) for t in (2, 5, 10, 20, 50, 100)], [(10.0**k, power(k)) for k in range(-6, -1)])
    methods = [("mgdl", "a", "mgdl"), ("torch_grades", "b", "libtorch, the same grades"),
               ("torch_deep", "c", "libtorch, one deep network")]
    for problem, name, square in (("spectral", "spectral", False), ("terrain", "terrain", True)):
        points = [(figures[f"{problem}.{method}.seconds"], figures[f"{problem}.{method}.rse"]) for method, _, _ in methods]
        plot.path(points, "thin")
        for (x, y), (_, kind, _) in zip(points, methods):
            plot.point(x, y, kind, square)
        plot.text(*points[0], name, "a", shift=(-8, 20))
    for row, (_, kind, text) in enumerate(methods):
        plot.text(2, 3e-2, text, kind, shift=(10, 16 + 18 * row))
    return plot.svg()


def certificate(figures):
    """Objective and proven lower bound by steps."""
    steps = sorted({int(key.split(".")[0][4:]) for key in figures})
    last, top = steps[-1], 2.0
    objective = [(step, figures[f"step{step}.objective"]) for step in steps]
    bound = [(step, figures[f"step{step}.bound"]) for step in steps]
    # What is above the frame is cut at its border.
    (x0, y0), (x1, y1) = next((a, b) for a, b in zip(objective, objective[1:]) if b[1] <= top)
    shown = [point for point in objective if point[1] <= top]
    if y0 > top:
        shown.insert(0, (x0 + (x1 - x0) * (y0 - top) / (y0 - y1), top))
    plot = Plot("A certificate closes", (1, last + 1), (0, top), "steps of the solver", "objective")
    plot.ticks([(k, str(k)) for k in range(2, last + 1, 3)], [(v, f"{v:g}") for v in (0, 0.5, 1, 1.5, 2)])
    plot.path([(bound[0][0], top), *shown, *bound[::-1]], "between", close=True)
    for points, kind in ((shown, "line a"), (bound, "line b")):
        plot.path(points, kind)
        for point in points:
            if point[1] < top:
                plot.point(*point, kind.split()[1])
    plot.text(6, 1.65, "objective of the network", "a")
    plot.text(6, 0.55, "no network has less: proven", "b")
    gap = f"{figures[f'step{last}.gap']:.1e}".replace("e-0", "e-")
    plot.text(last + 1, 1.15, f"gap {gap} after {last} steps", anchor="end")
    return plot.svg()
