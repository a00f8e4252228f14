#!/usr/bin/env python3
"""Writes qwen2_tokens.json and gemma3_tokens.json: texts, and the ids that the oracles give them.

usage: make_tokens.py QWEN.gguf GEMMA.gguf. Needs the packages tokenizers and sentencepiece.
"""

import json
import os
import random
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "differential"))
from mixed_texts import EMOJI, SAMPLES, SPACES, SPECIALS, Generator  # noqa: E402
from tokenizer_oracles import NORMAL, BpeOracle, SpmOracle, read_metadata  # noqa: E402

SEED = 20


def texts():
    generator = Generator(SEED)
    fixed = [text.encode() for text in ["", " ", "  a", *SAMPLES, *EMOJI, *SPECIALS, " ".join(SPACES)]]
    fixed += [bytes([byte]) for byte in range(0x7E, 0x100, 9)]
    return fixed + [generator.text(30) for _ in range(200)] + [generator.text(400) for _ in range(20)]


def case(text, ids):
    try:
        return {"text": text.decode("utf-8"), "ids": ids}
    except UnicodeDecodeError:
        return {"hex": text.hex(), "ids": ids}


def write(name, oracle, decodable):
    inputs = texts()
    cases = [case(text, ids) for text, ids in zip(inputs, oracle.encode_all(inputs))]
    choose = random.Random(SEED)
    sequences = [choose.choices(decodable, k=choose.randint(1, 12)) for _ in range(60)]
    decoded = [{"ids": ids, "text": text} for ids, text in zip(sequences, oracle.decode_all(sequences))]
    with open(os.path.join(HERE, name), "w", encoding="utf-8") as file:
        file.write('{"cases": [\n' + ",\n".join(json.dumps(c) for c in cases) + '\n],\n"decoded": [\n')
        file.write(",\n".join(json.dumps(c) for c in decoded) + "\n]}\n")


def main():
    qwen, gemma = (read_metadata(path) for path in sys.argv[1:3])
    types = gemma["tokenizer.ggml.token_type"]
    write("gemma3_tokens.json", SpmOracle(gemma), [i for i, kind in enumerate(types) if kind == NORMAL])
    # Single bytes and beginnings of characters too, so that there is something to replace.
    count = sum(kind == NORMAL for kind in qwen["tokenizer.ggml.token_type"])
    write("qwen2_tokens.json", BpeOracle(qwen), [*range(256), *range(94, 256), *range(0, count, 97)])


main()
