#!/usr/bin/env python3
"""Makes tables.json: texts of CSV and TSV with the records that Python's csv module reads from them.

    python3 tests/golden/job/make_tables.py

Bytes stand as characters of the same number (latin-1). Left out of what the module takes is what batchwright reads
otherwise on purpose: a carriage return alone as a record's end, text behind a closing quote (an error row), NUL.
"""

import csv
import io
import json
import random
from pathlib import Path

HAND_MADE = [
    ("a,b\n1,2\n", ","),
    ("a,b\r\n1,2\r\n", ","),
    ("a,b\n1,2", ","),
    ('"a","b"\n"1","2"\n', ","),
    ('a,b\n"x, y","z"\n', ","),
    ('a,b\n"say ""hi""",""""\n', ","),
    ('a,b\n"two\nlines","three\r\n\r\nlines"\nlast,one\n', ","),
    ('a,b\n5" disk,7"\n', ","),
    ('a,b\nx""y,""\n', ","),
    ('a,b\n,\n"",""\n', ","),
    ("a,b,\n1,,3,,\n", ","),
    ('a\n""\nx\n', ","),
    ("a\tb\n1,2\t3\n", "\t"),
    ('a\tb\n"x\ty"\t"z\nz"\n', "\t"),
    ("a\tb\n\t\n x \t y \n", "\t"),
    ("\u00e4\u00f6,\u4e16\u754c\n\U0001f600,\u200b\n", ","),
    ('a,b\n\n\n1,"\n\n"\n\n', ","),
    ('a,"b"\n"unclosed,1\nmore\n', ","),
    ('a, "b"\n1, "2"\n', ","),
]


def values(rng):
    alphabet = ["a", "bc", " ", ",", '"', "\n", "\r\n", "\t", ";", "'", "\u00e9", "\u4e16", "{x}", '""']
    return "".join(rng.choice(alphabet) for _ in range(rng.randrange(6)))


def written(rng, delimiter):
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, lineterminator=rng.choice(["\n", "\r\n"]),
                        quoting=rng.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    columns = rng.randrange(2, 5)
    for _ in range(rng.randrange(1, 6)):
        writer.writerow([values(rng) for _ in range(columns)])
    text = out.getvalue()
    return text.rstrip("\r\n") if rng.random() < 0.3 else text


def wild(rng, delimiter):
    """Characters as they come: quotes anywhere, also such as never close."""
    return "".join(rng.choice(["a", "b", '"', delimiter, "\n", "\r\n", "x"]) for _ in range(rng.randrange(1, 25)))


def strict_error(text, delimiter):
    """What the module finds wrong where it is strict; empty: nothing."""
    try:
        list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error as error:
        return str(error)
    return ""


def case(text, delimiter):
    # The module gives an empty list for an empty line.
    records = [r for r in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if r]
    return {
        "text": text.encode().decode("latin-1"),
        "delimiter": delimiter,
        "records": [[v.encode().decode("latin-1") for v in r] for r in records],
        "unclosed": "unexpected end" in strict_error(text, delimiter),
    }


def main():
    rng = random.Random(7)
    cases = [case(text, delimiter) for text, delimiter in HAND_MADE]
    while len(cases) < 150:
        cases.append(case(written(rng, delimiter := rng.choice(",\t")), delimiter))
    while len(cases) < 600:
        delimiter = rng.choice(",\t")
        text = wild(rng, delimiter)
        # Text behind a closing quote.
        if "expected after" not in strict_error(text, delimiter):
            cases.append(case(text, delimiter))
    lines = ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases)
    Path(__file__).with_name("tables.json").write_text("[\n" + lines + "\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
