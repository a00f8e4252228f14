#!/usr/bin/env python3
"""Compares the tokenisers with sentencepiece and Hugging Face's tokenizers over mixed text; any difference is an error.

usage: compare_tokenizers.py [--tokens N] [--seed N] TOOL MODEL.gguf... (or --real-models)

TOOL is the program tokenize_tool. Needs the packages sentencepiece (for SPM models) and tokenizers (for BPE models).

Where the oracle and llama.cpp differ, the oracle is followed: sentencepiece reads a byte that is not UTF-8 as U+FFFD, and
takes U+2581 in a text for a space also inside user-defined tokens. Where the oracle has no answer, llama.cpp's is taken
and not compared here: control tokens inside SPM text (sentencepiece never parses them), the space prefix after a special
token, NFC (GGUF carries no normaliser, so the BPE oracle has none).
"""

import argparse
import os
import pathlib
import struct
import subprocess
import sys
import time

from mixed_texts import Generator
from tokenizer_oracles import BpeOracle, SpmOracle, decode_input, read_metadata

SKIPPED = 77


def run_tool(tool, model, texts, special=False):
    """For each text its ids and what they decode to."""
    packed = b"".join(struct.pack("<I", len(t)) + t for t in texts)
    command = [tool, model, "--time"] + (["--special"] if special else [])
    done = subprocess.run(command, input=packed, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed: {done.stderr.decode()}")
    print(f"  ours: {done.stderr.decode().strip()}")
    out, at, results = done.stdout, 0, []
    for _ in texts:
        (count,) = struct.unpack_from("<I", out, at)
        ids = list(struct.unpack_from(f"<{count}i", out, at + 4))
        at += 4 + 4 * count
        (size,) = struct.unpack_from("<I", out, at)
        results.append((ids, out[at + 4 : at + 4 + size]))
        at += 4 + size
    assert at == len(out)
    return results


def report(text, expected, ids, what):
    first = next((i for i, (a, b) in enumerate(zip(expected, ids)) if a != b), min(len(expected), len(ids)))
    print(f"DIFFERENT {what}: text {text!r}\n  first at {first}: expected {expected[first:first+8]} got {ids[first:first+8]}")


def compare(tool, model, tokens, seed):
    """The number of differing texts."""
    metadata = read_metadata(model)
    spm = metadata["tokenizer.ggml.model"] == "llama"
    oracle = SpmOracle(metadata) if spm else BpeOracle(metadata)
    types = metadata["tokenizer.ggml.token_type"]
    spellings = [t for t, kind in zip(metadata["tokenizer.ggml.tokens"], types) if kind == 1]
    if not spm:
        byte_of = {v: k for k, v in gpt2_characters().items()}
        spellings = [bytes(byte_of[c] for c in t).decode("utf-8", "replace") for t in spellings]
    different = 0

    def round_of(texts, special=False):
        nonlocal different
        count = 0
        start = time.time()
        expected_ids = oracle.encode_all(texts)
        print(f"  oracle: {time.time() - start:.1f} s")
        for text, expected, (ids, decoded) in zip(texts, expected_ids, run_tool(tool, model, texts, special)):
            count += len(expected)
            plain = decode_input(text)
            readable = plain.replace("\u2581", " ") if spm else plain
            if expected != ids:
                different += 1
                report(text, expected, ids, "ids")
            elif decoded != readable.encode():
                different += 1
                report(text, list(readable.encode()), list(decoded), "decoded bytes")
            if different > 10:
                sys.exit("more than 10 differences")
        return count

    done = 0
    generator = Generator(seed, spellings, files=True)
    while done < tokens:
        texts = [generator.text(generator.random.choice([5, 20, 100, 1000, 5000])) for _ in range(1000)]
        done += round_of(texts)
    # Every character that may be a letter, number or space, so that the patterns' classes agree: between letters, digits
    # and spaces. Of the planes for private use, a few.
    points = [*range(0xD800), *range(0xE000, 0x32400), *range(0xE0000, 0xE0200), *range(0xF0000, 0x110000, 997)]
    around = [f"a{chr(c)}b {chr(c)}1{chr(c)}\n" for c in points]
    done += round_of(["".join(around[i : i + 64]).encode() for i in range(0, len(around), 64)])
    if not spm:
        oracle.allow_control_tokens()
        done += round_of([generator.text(200) + generator.specials(0).encode() for _ in range(1000)], special=True)
    print(f"{model}: {done} tokens, {different} texts differ (seed {seed})")
    return different


def gpt2_characters():
    """GPT-2's table of a printable character for each byte."""
    own = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in own]
    return {b: chr(b) for b in own} | {b: chr(256 + i) for i, b in enumerate(others)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tokens", type=int, default=1_000_000, help="of mixed text, for each model")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("tool")
    parser.add_argument("models", nargs="*")
    parser.add_argument("--real-models", action="store_true", help="those in BATCHWRIGHT_TEST_MODELS")
    options = parser.parse_args()
    models = options.models
    if options.real_models:
        folder = os.environ.get("BATCHWRIGHT_TEST_MODELS")
        if not folder:
            print("BATCHWRIGHT_TEST_MODELS is not set")
            sys.exit(1 if os.environ.get("BATCHWRIGHT_REQUIRE_MODELS") == "1" else SKIPPED)
        models = models + sorted(str(path) for path in pathlib.Path(folder).glob("*.gguf"))
    if not models:
        parser.error("no model to compare with")
    different = sum([compare(options.tool, model, options.tokens, options.seed) for model in models])
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
