#!/usr/bin/env python3
"""Checks tracked text for what should not be committed.

That is: marks of unfinished work, paths of one person's machine, references to an issue tracker (a comment must explain
itself), names of package registries (pip and apt know where to look), trailing blanks, tabs, and invisible characters.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Written so that no pattern matches its own line.
RULES = (
    (re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b"), "a mark of unfinished work"),
    (re.compile(r"(?<![\w.])/(wo" r"rk|ho" r"me|ro" r"ot|Us" r"ers)/\w"), "a path of one machine"),
    (re.compile(r"\.lib" r"rary/|(?<![\w/])\.\./sha" r"red/|\bsha" r"red/(design|peers|experiments)"), "a path of one machine"),
    (re.compile(r"\b[Ii]ss" r"ue #?\d+"), "a reference to an issue tracker"),
    (re.compile(r"pypi\.o" r"rg|pythonho" r"sted|hugging" r"face\.co|deb\.deb" r"ian\.org"), "a registry's host name"),
    (re.compile(r"^(<{7}|>{7}|={7})( |$)"), "a conflict marker"),
    (re.compile("[\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]"), "an invisible character"),
)
SOURCE_RULES = (
    (re.compile(r"[ \t]+$"), "a trailing blank"),
    (re.compile(r"^ *\t"), "a tab"),
)
SOURCES = {".cc", ".h", ".inc", ".py", ".cmake", ".md"}
# Test data may hold anything on purpose.
DATA = re.compile(r"(^|/)(golden|testdata|corpus)/(?!.*\.(py|md)$)")


def tracked_files() -> list[str]:
    if (ROOT / ".git").exists():
        run = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, check=True)
        return [name for name in run.stdout.decode().split("\0") if name]
    skip = {"build", ".venv", ".git", "__pycache__"}
    return [str(p.relative_to(ROOT)) for p in ROOT.rglob("*")
            if p.is_file() and not skip & set(p.relative_to(ROOT).parts)]


def main() -> int:
    found, checked = 0, 0
    for name in sorted(tracked_files()):
        path = ROOT / name
        if DATA.search(name) or not path.is_file():
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            print(f"{name}: not UTF-8", file=sys.stderr)
            found += 1
            continue
        checked += 1
        rules = RULES + (SOURCE_RULES if path.suffix in SOURCES and "/golden/" not in name else ())
        for number, line in enumerate(text.split("\n"), 1):
            for pattern, what in rules:
                if match := pattern.search(line):
                    print(f"{name}:{number}: {what}: {match.group(0)!r}", file=sys.stderr)
                    found += 1
    if found == 0:
        print(f"words: nothing in {checked} files")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
