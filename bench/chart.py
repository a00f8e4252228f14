"""The chart: tokens a second by batch, a panel a phase, the machine's limit dashed. SVG, written by hand."""

import math
from xml.sax.saxutils import escape

COLOURS = ("#1a5fb4", "#c64600", "#813d9c", "#26a269")  # of programs, in order
LIMIT_COLOUR = "#5e5c64"
INK, FAINT = "#241f31", "#deddda"
WIDTH, HEIGHT = 430, 300  # of a panel's plot
LEFT, RIGHT, TOP, BOTTOM = 62, 24, 116, 58
TITLES = {"prefill": "Prefill", "decode": "Decode", "whole": "In and out together"}
# A limit further away than this many times the fastest program would press all lines to the floor.
FAR = 3.5


def ticks(top):
    """Round values from 0 on, four to eight of them."""
    step = 10 ** math.floor(math.log10(top / 4))
    step *= next(m for m in (1, 2, 5, 10) if top / (step * m) <= 8)
    return [i * step for i in range(int(top / step) + 1)]


def text(x, y, words, anchor="start", size=12, colour=INK, weight="normal"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" font-weight="{weight}" '
            f'fill="{colour}">{escape(words)}</text>')


class Panel:
    """lines: a list of (batch, tokens a second) for each program; limit: tokens a second at a batch."""

    def __init__(self, x, title, batches, lines, limit):
        self.x, self.title, self.batches, self.lines, self.limit = x, title, batches, lines, limit
        speeds = [speed for line in lines for _, speed in line]
        self.limit_at_end = limit(batches[-1])
        self.top = 1.08 * min(max([self.limit_at_end, *speeds]), FAR * max(speeds))
        self.low, self.high = math.log2(batches[0]), math.log2(batches[-1])

    def at(self, batch, speed):
        wide = self.high - self.low
        share = (math.log2(batch) - self.low) / wide if wide else 0.5
        return self.x + LEFT + share * WIDTH, TOP + HEIGHT * (1 - speed / self.top)

    def grid(self):
        bottom, left, right = TOP + HEIGHT, self.x + LEFT, self.x + LEFT + WIDTH
        yield text(left, TOP - 12, f"{self.title}, tokens a second", size=13, weight="bold")
        for value in ticks(self.top):
            _, y = self.at(self.batches[0], value)
            yield f'<path d="M{left} {y:.1f}H{right}" stroke="{INK if value == 0 else FAINT}"/>'
            yield text(left - 8, y + 4, f"{value:,g}", "end")
        for batch in self.batches:
            x, _ = self.at(batch, 0)
            yield f'<path d="M{x:.1f} {bottom}v5" stroke="{INK}"/>'
            yield text(x, bottom + 20, f"{batch}", "middle")
        yield text((left + right) / 2, bottom + 42, "sequences together", "middle")

    def limit_line(self, clip):
        count = 96
        batches = [2 ** (self.low + (self.high - self.low) * i / count) for i in range(count + 1)]
        points = [self.at(batch, self.limit(batch)) for batch in batches]
        if self.low == self.high:
            points = [(x, points[0][1]) for x in (self.x + LEFT, self.x + LEFT + WIDTH)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        yield (f'<polyline points="{path}" fill="none" stroke="{LIMIT_COLOUR}" stroke-width="2" '
               f'stroke-dasharray="7 5" clip-path="url(#{clip})"/>')
        x, y = self.at(self.batches[-1], self.limit_at_end)
        above = y < TOP
        words = f"limit {self.limit_at_end:,.0f}" + (" \N{UPWARDS ARROW}" if above else "")
        yield text(x, TOP - 12 if above else y - 7, words, "end", colour=LIMIT_COLOUR)

    def program_lines(self):
        above = -math.inf  # where the line over this one ends
        drawn = [(line, colour) for line, colour in zip(self.lines, COLOURS) if line]
        for line, colour in sorted(drawn, key=lambda each: -each[0][-1][1]):
            points = [self.at(batch, speed) for batch, speed in line]
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
            yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2.5"/>'
            for x, y in points:
                yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>'
            x, y = points[-1]
            label = y - 9 if y - above > 26 else y + 18
            yield text(x, label, f"{line[-1][1]:,.0f}", "end", colour=colour, weight="bold")
            above = y


def draw(title, subtitle, programs, panels):
    """programs: their names. panels: (phase, batches, lines, limit), lines in the programs' order."""
    each = LEFT + WIDTH + RIGHT
    width, height = each * len(panels), TOP + HEIGHT + BOTTOM
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
           f'viewBox="0 0 {width} {height}" font-family="system-ui, sans-serif" role="img">',
           f"<title>{escape(title)}</title>",
           f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
           text(LEFT, 26, title, size=16, weight="bold"), text(LEFT, 45, subtitle, colour=LIMIT_COLOUR)]
    x = LEFT
    for name, colour in zip(programs, COLOURS):
        out.append(f'<path d="M{x:.0f} 62h22" stroke="{colour}" stroke-width="2.5"/>'
                   f'<circle cx="{x + 11:.0f}" cy="62" r="3.5" fill="{colour}"/>')
        out.append(text(x + 28, 66, name))
        x += 48 + 7 * len(name)
    out.append(f'<path d="M{x:.0f} 62h22" stroke="{LIMIT_COLOUR}" stroke-width="2" stroke-dasharray="7 5"/>')
    out.append(text(x + 28, 66, "the machine's limit"))
    for number, (phase, batches, lines, limit) in enumerate(panels):
        panel = Panel(number * each, TITLES[phase], batches, lines, limit)
        clip = f"plot{number}"
        out.append(f'<clipPath id="{clip}"><rect x="{panel.x + LEFT}" y="{TOP}" width="{WIDTH}" '
                   f'height="{HEIGHT}"/></clipPath>')
        out += panel.grid()
        out += panel.limit_line(clip)
        out += panel.program_lines()
    return "\n".join([*out, "</svg>", ""])
