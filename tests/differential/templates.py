#!/usr/bin/env python3
"""Random chat templates and expressions: Python's jinja2 against the interpreter of src/text.

  templates.py --out CASES.json [--count N] [--seed S]         write cases with what jinja2 makes of them
  templates.py --test-program build/.../text_test [--count N]  write them and run the test program over them

The test program reads the file named by BATCHWRIGHT_TEMPLATE_CASES. The seed is printed; the same seed makes the same
cases. Needs jinja2.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "golden", "text_template"))
import oracle  # noqa: E402

TEXTS = ["", " ", "a", "Hello", "hello world", "  padded\n", "a,b,,c", "ünïcödé", "日本語 text", "😀x", "<|im_start|>", "x\ny\n\nz",
         "it's", 'say "hi"', "tab\there", "\u00a0nbsp\u2003", "UPPER", "MiXed-case words", "12", "-3.5", " 7 ", "0x1f", "a\\b",
         "line\r\nend", "<b>&amp;</b>", "aXbXc", "\x1f", "é́", "name", "role"]
FILTERS_0 = ["trim", "upper", "lower", "title", "capitalize", "string", "length", "count", "first", "last", "list",
             "reverse", "tojson", "int", "float", "abs", "sort", "unique", "sum", "min", "max", "items", "dictsort",
             "escape", "safe", "round", "wordcount", "indent", "join", "default"]
FILTERS_1 = ["join({s})", "default({e})", "default({e}, true)", "d({e})", "replace({s}, {s})", "replace({s}, {s}, 1)",
             "tojson(indent=2)", "tojson(indent={i})", "trim({s})", "int(default={i})", "int(5, 16)", "round({i})",
             "round(1, 'floor')", "round(method='ceil')", "sort(reverse=true)", "sort(attribute='role')", "map('upper')",
             "map('string') | list", "map(attribute='role') | list", "map(attribute='n', default=0) | join(',')",
             "select | list", "reject | list", "select('string') | list", "select('defined') | list", "reject('none') | list",
             "select('gt', 1) | list", "selectattr('role') | list", "selectattr('role', 'equalto', 'user') | list",
             "rejectattr('role', 'eq', 'user') | list | length", "selectattr('n', 'defined') | list", "indent(2)",
             "indent(2, true)", "indent({i}, blank=true)", "dictsort(by='value')", "dictsort(reverse=true) | list",
             "batch(2) | list", "unique(attribute='role') | list", "sum(attribute='n')", "sum(start={i})", "items | list",
             "map('length') | list", "tojson(sort_keys=true)", "tojson(ensure_ascii=true)", "tojson(separators=(',', ':'))",
             "format({e})", "min(attribute='n')"]
TESTS = ["defined", "undefined", "none", "string", "number", "integer", "float", "mapping", "sequence", "iterable",
         "boolean", "true", "false", "odd", "even", "lower", "upper", "callable", "divisibleby(3)", "divisibleby {i}",
         "equalto({e})", "eq {i}", "ne {i}", "in([1, 2, 'a'])", "gt(1)", "lt {i}", "sameas(none)", "sameas true",
         "ge 1", "le 1", "in {s}"]
METHODS = ["strip()", "lstrip()", "rstrip()", "strip({s})", "lstrip({s})", "rstrip({s})", "split()", "split({s})",
           "split({s}, 1)", "rsplit({s}, 1)", "rsplit()", "split(none, 1)", "rsplit(none, 1)", "splitlines()",
           "splitlines(true)", "startswith({s})", "endswith({s})", "startswith(('a', {s}))", "upper()", "lower()", "title()",
           "capitalize()", "replace({s}, {s})", "replace({s}, {s}, 1)", "find({s})", "rfind({s})", "index({s})",
           "count({s})", "join(['x', {s}])", "join({e})", "isdigit()", "isalpha()", "isalnum()", "isspace()", "islower()",
           "isupper()", "removeprefix({s})", "removesuffix({s})", "partition({s})", "rpartition({s})", "items()", "keys()",
           "values()", "get({s})", "get({s}, {e})", "get('role')", "zfill(5)", "ljust(6, '.')", "rjust(6)", "center(7, '*')",
           "swapcase()", "format({e})", "find({s}, 1)", "find({s}, -3, 5)", "count({s}, 1)", "nothing()", "copy()"]
NAMES = ["s", "n", "f", "t", "z", "l", "d", "messages", "u", "missing", "bos_token", "add_generation_prompt", "big", "ll"]


class Maker:
    def __init__(self, rng):
        self.rng = rng

    def pick(self, items):
        return self.rng.choice(items)

    def quoted(self, text):
        quote = self.pick("'\"")
        out = text.replace("\\", "\\\\").replace(quote, "\\" + quote)
        if self.rng.random() < 0.7:
            out = out.replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")
        return quote + out + quote

    def fill(self, form, depth):
        while "{s}" in form:
            form = form.replace("{s}", self.quoted(self.pick(TEXTS)), 1)
        while "{i}" in form:
            form = form.replace("{i}", str(self.rng.randint(-3, 9)), 1)
        while "{e}" in form:
            form = form.replace("{e}", self.expression(depth + 2).replace("{e}", ""), 1)
        return form

    def atom(self):
        kind = self.rng.randrange(8)
        if kind == 0:
            return str(self.rng.randint(-5, 20))
        if kind == 1:
            return self.pick(["1.5", "0.1", "2.0", "1e3", "-0.5", "1e-7", "123456789.123", "1e16", "3.0"])
        if kind == 2:
            return self.quoted(self.pick(TEXTS))
        if kind == 3:
            return self.pick(["true", "false", "none", "True", "None", "[]", "{}", "()", "''"])
        return self.pick(NAMES)

    def expression(self, depth=0):
        r = self.rng
        if depth > 4 or r.random() < 0.12:
            return self.atom()
        inner = lambda: self.expression(depth + 1)  # noqa: E731
        kind = r.randrange(24)
        if kind < 2:
            return f"{inner()} {self.pick(['+', '-', '*', '/', '//', '%', '~', '~', '+'])} {inner()}"
        if kind == 2:
            return f"({inner()} {self.pick(['+', '*', '%', '~'])} {inner()})"
        if kind == 3:
            return f"{inner()} {self.pick(['==', '!=', '<', '<=', '>', '>=', 'in', 'not in'])} {inner()}"
        if kind == 4:
            return f"{inner()} {self.pick(['and', 'or'])} {inner()}"
        if kind == 5:
            return f"not {inner()}"
        if kind == 6:
            return f"({inner()} if {inner()} else {inner()})" if r.random() < 0.8 else f"({inner()} if {inner()})"
        if kind < 10:
            return f"{self.primary(depth)} | {self.pick(FILTERS_0)}"
        if kind < 13:
            return f"{self.primary(depth)} | {self.fill(self.pick(FILTERS_1), depth)}"
        if kind == 13:
            return f"{self.primary(depth)} is {self.pick(['', 'not '])}{self.fill(self.pick(TESTS), depth)}"
        if kind < 17:
            return f"{self.primary(depth)}.{self.fill(self.pick(METHODS), depth)}"
        if kind == 17:
            return f"{self.primary(depth)}[{inner()}]"
        if kind == 18:
            parts = [self.pick(["", str(r.randint(-4, 4))]) for _ in range(r.choice([2, 2, 3]))]
            # Of names only: jinja2 folds constants, and turns errors in slices of constants into undefined values.
            return f"{self.pick(NAMES)}[{':'.join(parts)}]"
        if kind == 19:
            return "[" + ", ".join(inner() for _ in range(r.randrange(4))) + "]"
        if kind == 20:
            return "{" + ", ".join(f"{self.quoted(self.pick(TEXTS))}: {inner()}" for _ in range(r.randrange(3))) + "}"
        if kind == 21:
            return f"{self.primary(depth)}.{self.pick(['role', 'content', 'n', 'a', 'b', 'nothing', 'items', '0'])}"
        if kind == 22:
            return f"-{self.primary(depth)}" if r.random() < 0.5 else f"{inner()} ** {r.randint(-2, 3)}"
        return f"{inner()} < {inner()} <= {inner()}"

    def primary(self, depth):
        return self.pick(NAMES) if self.rng.random() < 0.5 else f"({self.expression(depth + 1)})"

    def tag(self, body):
        return "{%" + self.pick(["", "", "-", "-", "+"]) + " " + body + " " + self.pick(["", "", "-", "-"]) + "%}"

    def space(self):
        return self.pick(["", "", "\n", " ", "  \n", "\n    ", "text\n", "  x", "\n\n"])

    def statement(self, depth=0):
        r = self.rng
        kind = r.randrange(12) if depth < 3 else r.randrange(4)
        body = lambda: self.body(depth + 1)  # noqa: E731
        if kind < 3:
            return "{{" + self.pick(["", "-"]) + " " + self.expression() + " " + self.pick(["", "-"]) + "}}"
        if kind == 3:
            return self.tag(f"set {self.pick(['s', 'x', 'v', 'n'])} = {self.expression(2)}")
        if kind < 6:
            text = self.tag(f"if {self.expression(2)}") + body()
            if r.random() < 0.4:
                text += self.tag(f"elif {self.expression(2)}") + body()
            if r.random() < 0.5:
                text += self.tag("else") + body()
            return text + self.tag("endif")
        if kind < 9:
            source = self.pick(["messages", "l", "d", "d.items()", "s", "range({i})", "l if x is not none", "messages if x.role",
                                "l | reverse", "ll", "[1, 2, 3, 4]", "u", "'ab'", "l if loop is undefined"])
            target = "k, x" if source == "d.items()" or r.random() < 0.05 else "x"
            extra = self.pick(["", "", "{{ loop.index }}", "{{ loop.last }}{{ loop.length }}", "{{ loop.revindex0 }}",
                               "{{ loop.previtem }}|{{ loop.nextitem }}", "{{ x }}", "{% if loop.first %}F{% endif %}",
                               "{% if loop.index0 == 1 %}{% break %}{% endif %}", "{% if x %}{% continue %}{% endif %}",
                               "{{ loop.cycle('a', 'b') }}", "{{ loop.changed(x) }}", "{% set ns.c = ns.c + 1 %}",
                               "{{ loop.nextitem }}{{ loop.length }}{{ loop.last }}"])
            text = self.tag(f"for {target} in {self.fill(source, 3)}") + extra + body()
            if r.random() < 0.3:
                text += self.tag("else") + body()
            return text + self.tag("endfor")
        if kind == 9:
            return self.tag("set x") + body() + self.tag("endset") + "{{ x | length }}{{ x }}"
        if kind == 10:
            name = self.pick(["m", "m2"])
            return (self.tag(f"macro {name}(a, b={self.expression(3)})") + "[{{ a }}|{{ b }}]" + body() + self.tag("endmacro") +
                    "{{ " + f"{name}({self.expression(3)})" + " }}{{ " + f"{name}(b=1, a=x)" + " }}")
        return self.pick(["{# a comment #}\n", "{#- c -#}", "{% raw %}{{ x }}{% endraw %}\n", "{% generation %}g{% endgeneration %}",
                          "{% filter upper %}abc{{ s }}{% endfilter %}", "{% with q = 3 %}{{ q }}{% endwith %}{{ q }}"])

    def body(self, depth):
        return "".join(self.space() + self.statement(depth) for _ in range(self.rng.randint(1, 3 if depth == 0 else 2))) + self.space()

    def value(self, depth=0):
        r = self.rng
        kind = r.randrange(8 if depth < 2 else 6)
        if kind == 0:
            return r.randint(-100, 100)
        if kind == 1:
            return r.choice([0.5, 1.0, -2.25, 1e20, 1e-5, 100000.0])
        if kind == 2:
            return r.choice([None, True, False])
        if kind < 6:
            return r.choice(TEXTS)
        if kind == 6:
            return [self.value(depth + 1) for _ in range(r.randrange(4))]
        return {r.choice(["a", "b", "role", "ü", "c d"]): self.value(depth + 1) for _ in range(r.randrange(4))}

    def inputs(self):
        r = self.rng
        messages = []
        for _ in range(r.randrange(4)):
            message = {"role": r.choice(["user", "assistant", "system", "tool"]), "content": r.choice(TEXTS)}
            if r.random() < 0.3:
                message["n"] = r.randint(0, 5)
            messages.append(message)
        extra = {"s": r.choice(TEXTS), "n": r.randint(-3, 9), "f": r.choice([0.5, 2.0, -1.25, 2.675, 1e16]), "t": r.random() < 0.5,
                 "z": None, "l": [self.value(1) for _ in range(r.randrange(5))], "u": [r.choice(TEXTS) for _ in range(r.randrange(4))],
                 "d": {k: self.value(1) for k in r.sample(["a", "b", "B", "n", "role", "zz"], r.randrange(5))},
                 "big": r.choice([2**20, 65537, -(2**19)]), "ll": [[1, 2], [3]]}
        return {"messages": messages, "add_generation_prompt": r.random() < 0.5, "bos_token": "<s>", "eos_token": "</s>",
                "extra": extra}


# What is known to differ, by decision: objects shown by their address or type, markup, integers beyond 64 bits.
def comparable(template, expected):
    if expected is not None and any(mark.lower() in expected.lower() for mark in ("<generator", "<function", "<built-in", " object at 0x", "&lt;generator", "&lt;built", "<bound", "<Macro", "iterator", "<class", "<method", "<Loop", "GENERATOR", "Markup(")):
        return False
    if expected is not None and any(len(run) > 18 for run in digit_runs(expected)):
        return False
    return True


def digit_runs(text):
    run = ""
    for c in text:
        if c.isdigit():
            run += c
        elif run:
            yield run
            run = ""
    if run:
        yield run


def make_cases(seed, count):
    rng = random.Random(seed)
    maker = Maker(rng)
    cases = []
    while len(cases) < count:
        if rng.random() < 0.6:
            template = "{{ " + maker.expression() + " }}"
        else:
            template = "{% set ns = namespace(c=0) %}" + maker.body(0) + "{{ ns.c }}"
        inputs = maker.inputs()
        expected = oracle.render(template, inputs)
        # Most random expressions are errors: a fifth of those is enough.
        if expected is None and rng.random() < 0.8:
            continue
        if comparable(template, expected):
            cases.append({"template": template, "inputs": inputs, "expected": expected})
    return cases


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out")
    parser.add_argument("--test-program")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=None)
    args = parser.parse_args()
    seed = args.seed if args.seed is not None else int(time.time())
    print(f"seed {seed}")
    cases = make_cases(seed, args.count)
    out = args.out or os.path.join(tempfile.mkdtemp(), "cases.json")
    with open(out, "w", encoding="utf-8") as file:
        json.dump({"seed": seed, "templates": {}, "cases": cases}, file, ensure_ascii=False)
    if args.test_program:
        environment = dict(os.environ, BATCHWRIGHT_TEMPLATE_CASES=out)
        sys.exit(subprocess.run([args.test_program, "--gtest_filter=ChatTemplateGolden.NamedFile"], env=environment).returncode)


if __name__ == "__main__":
    main()
