"""Chat templates as transformers render them: Python's jinja2 in the same sandbox and with the same settings."""

import datetime
import json
import warnings

import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.sandbox


class Generation(jinja2.ext.Extension):
    """{% generation %} ... {% endgeneration %}: marks text; here, as in transformers, it is a call block."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_support"), [], [], body).set_lineno(line)

    @staticmethod
    def _support(caller):
        return caller()


def environment(date=None):
    env = jinja2.sandbox.SandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols, Generation]
    )

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def strftime_now(text):
        if date is None:
            raise jinja2.exceptions.TemplateError("no date")
        return datetime.datetime.fromisoformat(date).strftime(text)

    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = strftime_now
    return env


def render(template, inputs):
    """The text, or None where jinja2 refuses the template or its inputs."""
    variables = {
        "messages": inputs.get("messages", []),
        "tools": inputs.get("tools"),
        "documents": None,
        "add_generation_prompt": inputs.get("add_generation_prompt", False),
        "bos_token": inputs.get("bos_token", ""),
        "eos_token": inputs.get("eos_token", ""),
    }
    variables.update(inputs.get("extra") or {})
    try:
        warnings.simplefilter("ignore", SyntaxWarning)
        text = environment(inputs.get("date")).from_string(template).render(**variables)
        text.encode("utf-8")
        return text
    except Exception:  # whatever Python raises is a refusal
        return None
