"""The result as a badge for a README: an SVG that loads no font and needs no server."""

from __future__ import annotations

from html import escape

from harness.checks.verdict import Verdict
from harness.report.result import RunResult

COLOURS = {Verdict.PASS: "#2a7f4f", Verdict.FAIL: "#c0392b", Verdict.ERROR: "#7d3c98"}
LETTER, PAD, HEIGHT = 6.6, 9, 20
"""Pixels: the width of a letter at 11 px, the padding on each side of a text, the height of the badge."""


def render(result: RunResult) -> str:
    """Return the SVG; the colour shows the verdict, the number counts the clauses that passed."""
    left = f"cryo_ingest {result.profile}".strip()
    right = f"{result.counts()[Verdict.PASS]}/{len(result.clauses)} clauses"
    if result.verdict is not Verdict.PASS:
        right = f"{result.verdict}: {right}"
    title = escape(f"{left}: {right}")
    first, second = (round(len(text) * LETTER) for text in (left, right))
    edge, width = first + 2 * PAD, first + second + 4 * PAD
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{HEIGHT}" role="img" aria-label="{title}">
<title>{title}</title>
<clipPath id="r"><rect width="{width}" height="{HEIGHT}" rx="4"/></clipPath>
<g clip-path="url(#r)">
<rect width="{edge}" height="{HEIGHT}" fill="#444c56"/>
<rect x="{edge}" width="{width - edge}" height="{HEIGHT}" fill="{COLOURS[result.verdict]}"/>
</g>
<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">
<text x="{PAD}" y="14" textLength="{first}">{escape(left)}</text>
<text x="{edge + PAD}" y="14" textLength="{second}">{escape(right)}</text>
</g>
</svg>
"""
