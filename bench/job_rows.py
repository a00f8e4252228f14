"""The jobs of bench/jobs, as lists of rows. All deterministic: the same index and model make the same rows."""

import dataclasses
import json
import random

TAIL_MAX = 512
STOP_BYTES_MAX = 1000


@dataclasses.dataclass(frozen=True)
class Row:
    name: str
    prompt: tuple  # token ids
    answer: int  # tokens out at most
    stop: str = ""  # ends the answer before that
    sampled: bool = False  # else the likeliest tokens

    def line(self):
        body = {"prompt": list(self.prompt), "temperature": 1 if self.sampled else 0, "max_tokens": self.answer, "ignore_eos": True}
        if self.sampled:
            body["frequency_penalty"] = 0.3  # fewer circles
        else:
            body["min_tokens"] = self.answer  # nothing but max_tokens ends the answer
        if self.stop:
            body["stop"] = [self.stop]
        return json.dumps({"custom_id": self.name, "method": "POST", "url": "/v1/completions", "body": body})


def write(rows, path):
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(row.line() + "\n" for row in rows)


def prompts(rows):
    return [row.prompt for row in rows]


def generators(job):
    """Of lengths and order, and of words: a job has the same shape with every model and index."""
    return random.Random(f"{job} shape"), random.Random(f"{job} words")


def documents(texts, shrink=1):
    """32 documents of 384 to 640 tokens, each with the same 8 questions of 16 to 48; 32 tokens out; shuffled."""
    shape, words = generators("documents")
    questions = [texts.draw(words, shape.randint(16, 48)) for _ in range(8)]
    rows = []
    for document in range(max(2, 32 // shrink)):
        text = texts.draw(words, shape.randint(384, 640), begins=True)
        rows += [Row(f"document-{document}-question-{index}", tuple(text + question), 32)
                 for index, question in enumerate(questions)]
    shape.shuffle(rows)
    return rows


def three_levels(texts, shrink=1):
    """A system prompt of 320 tokens, 8 documents of 256 to 384 after it, 4 sections of 96 to 160 after each of these, and
    6 questions of 16 to 48 about each section; 16 tokens out; shuffled."""
    shape, words = generators("three levels")
    system = texts.draw(words, 320, begins=True)
    questions = [texts.draw(words, shape.randint(16, 48)) for _ in range(6)]
    rows = []
    for document in range(max(2, 8 // shrink)):
        text = system + texts.draw(words, shape.randint(256, 384))
        for section in range(4):
            part = text + texts.draw(words, shape.randint(96, 160))
            rows += [Row(f"document-{document}-section-{section}-question-{index}", tuple(part + question), 16)
                     for index, question in enumerate(questions)]
    shape.shuffle(rows)
    return rows


def mixed(texts, shrink=1):
    """128 rows of 1,500 tokens in and 8 out, then 128 of 60 in and 256 out; nothing shared."""
    _, words = generators("mixed")
    count = max(2, 128 // shrink)
    long_in = [Row(f"long-in-{index}", tuple(texts.draw(words, 1500, begins=True)), 8) for index in range(count)]
    long_out = [Row(f"long-out-{index}", tuple(texts.draw(words, 60, begins=True)), 256) for index in range(count)]
    return long_in + long_out


def heavy_tail(texts, shrink=1):
    """512 rows of 48 to 96 tokens in, which answer in 24 tokens or more and rarely in many more (Pareto, 1.1), of at most
    TAIL_MAX: half of them in 45, one in ten in 195 or more. They say so: max_tokens is the length. Sampled, as the likeliest
    tokens of a small model go in circles."""
    shape, words = generators("heavy tail")
    rows = []
    for index in range(max(16, 512 // shrink)):
        prompt = texts.draw(words, shape.randint(48, 96), begins=True)
        rows.append(Row(f"row-{index}", tuple(prompt), min(TAIL_MAX, int(24 * shape.paretovariate(1.1))), sampled=True))
    return rows


def ending(text):
    """The shortest end of a text that stands nowhere before in it, of what is whole characters and fits a stop string."""
    text = text.split("\N{REPLACEMENT CHARACTER}")[0]
    end = next((text[at:] for at in range(len(text) - 1, -1, -1) if text.find(text[at:]) == at), "")
    # It went in circles: the answer ends somewhat sooner.
    return end if len(end.encode()) <= STOP_BYTES_MAX else ending(text[:len(text) * 7 // 8])


def without_lengths(rows, answers):
    """The same rows with the same answers, the lengths of which nobody knows beforehand: `answers`, those that came of the
    rows by name, end with a string that stops each, and all may be TAIL_MAX long."""
    return [dataclasses.replace(row, answer=TAIL_MAX, stop=ending(answers[row.name])) for row in rows]


def one_prefix(texts, prefix, count, own, answer):
    """`count` rows that have `prefix` tokens in common, with so many of their own after them."""
    _, words = generators(f"prefix {prefix}")
    text = texts.draw(words, prefix, begins=True)
    return [Row(f"row-{index}", tuple(text + texts.draw(words, own)), answer) for index in range(count)]


def million_lines(count=1_000_000, size=200):
    """Chats of `size` bytes each, their line feeds included, under a few system prompts."""
    _, draw = generators("million")
    words = [f"{draw.choice('bdfgklmnprstvz')}{draw.choice('aeiou')}{draw.choice('lmnrst')}{draw.choice('aeiouy')} "
             for _ in range(4096)]
    for index in range(count):
        head = f'{{"custom_id": "{index}", "messages": [{{"role": "user", "content": "Sort into kind {index % 7}: '
        tail = '"}], "max_tokens": 16}\n'
        left = size - len(head) - len(tail)
        yield head + "".join(draw.choices(words, k=left // 5 + 1))[:left] + tail
