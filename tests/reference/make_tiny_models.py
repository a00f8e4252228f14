#!/usr/bin/env python3
"""Writes tiny random models of both families as GGUF files: make_tiny_models.py FOLDER

Only the standard library is used and every number comes from an integer generator (SplitMix64), so the files' bytes
are the same everywhere: golden files made from them stay valid. The models speak no language; their weights are scaled
so that logits are spread, attention is neither flat nor one-hot, and greedy output does not repeat one token for ever.
"""

import math
import pathlib
import struct
import sys

# A GGUF file's types of values and of tensors.
UINT32, INT32, FLOAT32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
F32, F16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K, Q6_K, BF16 = 0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 30
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6
ALIGNMENT = 32
MASK = (1 << 64) - 1

TEXT = """The quick brown fox jumps over the lazy dog. A library for reading and writing files of tables; documentation
and examples are in the package. This is free software: you can redistribute it and modify it under the terms of the
General Public License as published by the Free Software Foundation, either version of the License, or any later
version. It is distributed in the hope that it will be useful, but without any warranty. What is the name of the game
that they played there? The answer is given below, together with the reasons for it. If the user asks for the time of
the day, then return it; otherwise the program shall print nothing at all. for (int i = 0; i < 10; i++) { return x; }
"""


class Random:
    """SplitMix64 (Steele, Lea, Flood 2014), seeded by a name."""

    def __init__(self, name):
        state = 0xCBF29CE484222325  # FNV-1a
        for byte in name.encode():
            state = ((state ^ byte) * 0x100000001B3) & MASK
        self.state = state

    def next(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return z ^ (z >> 31)

    def uniform(self):
        """A multiple of 2^-23 in [-1, 1)."""
        return (self.next() >> 40) * 2.0**-23 - 1.0

    def bytes(self, count):
        words = [self.next() for _ in range((count + 7) // 8)]
        return struct.pack(f"<{len(words)}Q", *words)[:count]


def pack_values(values, element_type):
    if element_type == F32:
        return struct.pack(f"<{len(values)}f", *values)
    if element_type == F16:
        return struct.pack(f"<{len(values)}e", *values)
    bits = struct.unpack(f"<{len(values)}I", struct.pack(f"<{len(values)}f", *values))
    return struct.pack(f"<{len(values)}H", *((b + 0x7FFF + (b >> 16 & 1)) >> 16 for b in bits))


def random_block(element_type, random, std):
    """One quantised block: random bits everywhere but in the fp16 scales, which set the standard deviation. The blocks
    hold every value that a format can hold, -128 and the subnormal scales that real files have included."""
    jitter = 1.0 + random.uniform() / 2

    def half(value):
        return struct.pack("<e", value * jitter)

    if element_type == Q4_0:
        return half(std / 4.6) + random.bytes(16)
    if element_type == Q4_1:
        return half(std / 4.6) + half(std / 4.6 * -7.5) + random.bytes(16)
    if element_type == Q5_0:
        return half(std / 9.2) + random.bytes(20)
    if element_type == Q5_1:
        return half(std / 9.2) + half(std / 9.2 * -15.5) + random.bytes(20)
    if element_type == Q8_0:
        return half(std / 74) + random.bytes(32)
    if element_type == Q4_K:
        return half(std / 258) + half(std / 258 * 7.5) + random.bytes(140)
    if element_type == Q5_K:
        return half(std / 527) + half(std / 527 * 15.5) + random.bytes(172)
    if element_type == Q6_K:
        return random.bytes(208) + half(std / 1369)
    raise ValueError(element_type)


class Tensors:
    """The tensors of a file: name, dimensions (fastest first), type, bytes."""

    def __init__(self, seed):
        self.seed = seed
        self.items = []

    def matrix(self, name, columns, rows, element_type, std):
        random = Random(f"{self.seed} {name}")
        if element_type in (F32, F16, BF16):
            scale = std * math.sqrt(3)
            data = pack_values([random.uniform() * scale for _ in range(columns * rows)], element_type)
        else:
            block = 256 if element_type in (Q4_K, Q5_K, Q6_K) else 32
            assert columns % block == 0
            data = b"".join(random_block(element_type, random, std) for _ in range(columns * rows // block))
        self.items.append((name, (columns, rows), element_type, data))

    def vector(self, name, size, mean, spread):
        random = Random(f"{self.seed} {name}")
        values = [mean + random.uniform() * spread for _ in range(size)]
        self.items.append((name, (size,), F32, pack_values(values, F32)))


def pack_string(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def pack_value(value_type, value):
    if value_type == STRING:
        return pack_string(value)
    if value_type == ARRAY:
        element_type, items = value
        return struct.pack("<IQ", element_type, len(items)) + b"".join(pack_value(element_type, i) for i in items)
    return struct.pack({UINT32: "<I", INT32: "<i", FLOAT32: "<f", BOOL: "<?"}[value_type], value)


def pad(data):
    return data + bytes(-len(data) % ALIGNMENT)


def write_gguf(path, metadata, tensors):
    header = b"GGUF" + struct.pack("<IQQ", 3, len(tensors.items), len(metadata))
    for key, value_type, value in metadata:
        header += pack_string(key) + struct.pack("<I", value_type) + pack_value(value_type, value)
    body = bytearray()
    for name, dimensions, element_type, data in tensors.items:
        header += pack_string(name) + struct.pack("<I", len(dimensions))
        header += struct.pack(f"<{len(dimensions)}Q", *dimensions) + struct.pack("<IQ", element_type, len(body))
        body += pad(data)
    path.write_bytes(pad(header) + body)


def learn_merges(words, count):
    """Byte-pair encoding (Sennrich et al. 2016) over words given as tuples of symbols."""
    merges = []
    while len(merges) < count:
        pairs = {}
        for word in words:
            for pair in zip(word, word[1:]):
                pairs[pair] = pairs.get(pair, 0) + 1
        best = max(sorted(pairs), key=pairs.get)
        merges.append(best)
        merged = []
        for word in words:
            symbols, i = [], 0
            while i < len(word):
                if word[i : i + 2] == best:
                    symbols.append(best[0] + best[1])
                    i += 2
                else:
                    symbols.append(word[i])
                    i += 1
            merged.append(tuple(symbols))
        words = merged
    return merges


def training_words(space):
    return [tuple((space if i else "") + word) for line in TEXT.split("\n") for i, word in enumerate(line.split(" ")) if word]


def byte_characters():
    """GPT-2's printable stand-ins for bytes."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    characters = {byte: chr(byte) for byte in printable}
    for byte in range(256):
        if byte not in characters:
            characters[byte] = chr(256 + len(characters) - len(printable))
    return [characters[byte] for byte in range(256)]


def bpe_vocabulary():
    characters = byte_characters()
    merges = learn_merges(training_words(characters[32]), 128)
    tokens = characters + [a + b for a, b in merges] + ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    assert len(set(tokens)) == len(tokens)
    end_of_text = len(tokens) - 3
    template = (
        "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
    )
    metadata = [
        ("tokenizer.ggml.model", STRING, "gpt2"),
        ("tokenizer.ggml.pre", STRING, "qwen2"),
        ("tokenizer.ggml.tokens", ARRAY, (STRING, tokens)),
        ("tokenizer.ggml.token_type", ARRAY, (INT32, [NORMAL] * end_of_text + [CONTROL] * 3)),
        ("tokenizer.ggml.merges", ARRAY, (STRING, [a + " " + b for a, b in merges])),
        ("tokenizer.ggml.eos_token_id", UINT32, end_of_text + 2),
        ("tokenizer.ggml.padding_token_id", UINT32, end_of_text),
        ("tokenizer.ggml.bos_token_id", UINT32, end_of_text),
        ("tokenizer.ggml.add_bos_token", BOOL, False),
        ("tokenizer.chat_template", STRING, template),
    ]
    return len(tokens), metadata


def spm_vocabulary():
    space = "\u2581"
    merges = learn_merges(training_words(space), 120)
    control = ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"]
    characters = ["\n", space, *map(chr, range(33, 127)), "\u00e9", "\u00fc", "\u65e5"]
    pieces = [a + b for a, b in merges] + [space * 2, space * 4]
    tokens = control + [f"<0x{byte:02X}>" for byte in range(256)] + pieces + characters
    assert len(set(tokens)) == len(tokens)
    types = [CONTROL] * 3 + [UNKNOWN] + [CONTROL] * 2 + [BYTE] * 256 + [NORMAL] * (len(pieces) + len(characters))
    scores = [0.0] * (len(control) + 256) + [-float(i) for i in range(len(pieces) + len(characters))]
    template = (
        "{{ bos_token }}{% for message in messages %}{% set role = 'model' if message['role'] == 'assistant' else "
        "message['role'] %}{{ '<start_of_turn>' + role + '\\n' + message['content'] | trim + '<end_of_turn>\\n' }}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}"
    )
    metadata = [
        ("tokenizer.ggml.model", STRING, "llama"),
        ("tokenizer.ggml.pre", STRING, "default"),
        ("tokenizer.ggml.tokens", ARRAY, (STRING, tokens)),
        ("tokenizer.ggml.scores", ARRAY, (FLOAT32, scores)),
        ("tokenizer.ggml.token_type", ARRAY, (INT32, types)),
        ("tokenizer.ggml.bos_token_id", UINT32, 2),
        ("tokenizer.ggml.eos_token_id", UINT32, 1),
        ("tokenizer.ggml.unknown_token_id", UINT32, 3),
        ("tokenizer.ggml.padding_token_id", UINT32, 0),
        ("tokenizer.ggml.add_bos_token", BOOL, True),
        ("tokenizer.ggml.add_eos_token", BOOL, False),
        ("tokenizer.ggml.add_space_prefix", BOOL, False),
        ("tokenizer.chat_template", STRING, template),
    ]
    return len(tokens), metadata


def make_qwen2(path, types, width=64, layers=3, feed_forward=96):
    """types: element types by the tensors' short names. Without "output" the embedding serves as output too."""
    heads, kv_heads = 4, 2
    head = width // heads
    vocabulary_size, vocabulary = bpe_vocabulary()
    name = path.stem
    metadata = [
        ("general.architecture", STRING, "qwen2"),
        ("general.name", STRING, name),
        ("general.alignment", UINT32, ALIGNMENT),
        ("qwen2.block_count", UINT32, layers),
        ("qwen2.context_length", UINT32, 2048),
        ("qwen2.embedding_length", UINT32, width),
        ("qwen2.feed_forward_length", UINT32, feed_forward),
        ("qwen2.attention.head_count", UINT32, heads),
        ("qwen2.attention.head_count_kv", UINT32, kv_heads),
        ("qwen2.rope.freq_base", FLOAT32, 10000.0),
        ("qwen2.attention.layer_norm_rms_epsilon", FLOAT32, 1e-6),
        *vocabulary,
    ]
    tensors = Tensors("tiny-qwen2")
    gain = 1 / math.sqrt(width)
    tensors.matrix("token_embd.weight", width, vocabulary_size, types["token_embd"], 3 * gain)
    tensors.vector("output_norm.weight", width, 1.0, 0.25)
    if "output" in types:
        tensors.matrix("output.weight", width, vocabulary_size, types["output"], 3 * gain)
    for layer in range(layers):
        block = f"blk.{layer}."
        tensors.vector(block + "attn_norm.weight", width, 1.0, 0.25)
        for short, rows, bias in (("attn_q", width, 1.0), ("attn_k", head * kv_heads, 1.0), ("attn_v", head * kv_heads, 0.25)):
            tensors.matrix(f"{block}{short}.weight", width, rows, types[short], 1.3 * gain)
            tensors.vector(f"{block}{short}.bias", rows, 0.0, bias)
        tensors.matrix(block + "attn_output.weight", width, width, types["attn_output"], 1.5 * gain)
        tensors.vector(block + "ffn_norm.weight", width, 1.0, 0.25)
        tensors.matrix(block + "ffn_gate.weight", width, feed_forward, types["ffn_gate"], 1.3 * gain)
        tensors.matrix(block + "ffn_up.weight", width, feed_forward, types["ffn_up"], 1.3 * gain)
        tensors.matrix(block + "ffn_down.weight", feed_forward, width, types["ffn_down"], 1.5 / math.sqrt(feed_forward))
    write_gguf(path, metadata, tensors)


def make_gemma3(path, element_type):
    width, layers, feed_forward, heads, kv_heads, head = 64, 7, 96, 2, 1, 32
    vocabulary_size, vocabulary = spm_vocabulary()
    metadata = [
        ("general.architecture", STRING, "gemma3"),
        ("general.name", STRING, path.stem),
        ("general.alignment", UINT32, ALIGNMENT),
        ("gemma3.context_length", UINT32, 2048),
        ("gemma3.embedding_length", UINT32, width),
        ("gemma3.block_count", UINT32, layers),
        ("gemma3.feed_forward_length", UINT32, feed_forward),
        ("gemma3.attention.head_count", UINT32, heads),
        ("gemma3.attention.head_count_kv", UINT32, kv_heads),
        ("gemma3.attention.key_length", UINT32, head),
        ("gemma3.attention.value_length", UINT32, head),
        ("gemma3.attention.layer_norm_rms_epsilon", FLOAT32, 1e-6),
        ("gemma3.attention.sliding_window", UINT32, 64),
        ("gemma3.rope.freq_base", FLOAT32, 1000000.0),
        *vocabulary,
    ]
    tensors = Tensors("tiny-gemma3")
    gain = 1 / math.sqrt(width)
    tensors.matrix("token_embd.weight", width, vocabulary_size, element_type, 3 * gain)
    tensors.vector("output_norm.weight", width, 1.0, 0.25)
    for layer in range(layers):
        block = f"blk.{layer}."
        tensors.vector(block + "attn_norm.weight", width, 1.0, 0.25)
        tensors.matrix(block + "attn_q.weight", width, head * heads, element_type, gain)
        tensors.matrix(block + "attn_k.weight", width, head * kv_heads, element_type, gain)
        tensors.matrix(block + "attn_v.weight", width, head * kv_heads, element_type, gain)
        tensors.vector(block + "attn_q_norm.weight", head, 1.25, 0.25)
        tensors.vector(block + "attn_k_norm.weight", head, 1.25, 0.25)
        tensors.matrix(block + "attn_output.weight", head * heads, width, element_type, gain)
        # Weights of about 4 let the layers drown the embedding, which would otherwise make each token repeat itself.
        tensors.vector(block + "post_attention_norm.weight", width, 4.0, 1.0)
        tensors.vector(block + "ffn_norm.weight", width, 1.0, 0.25)
        tensors.matrix(block + "ffn_gate.weight", width, feed_forward, element_type, gain)
        tensors.matrix(block + "ffn_up.weight", width, feed_forward, element_type, gain)
        tensors.matrix(block + "ffn_down.weight", feed_forward, width, element_type, gain)
        tensors.vector(block + "post_ffw_norm.weight", width, 4.0, 1.0)
    write_gguf(path, metadata, tensors)


MATRICES = ("token_embd", "attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")


def main(folder):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for suffix, element_type in (("f32", F32), ("f16", F16)):
        make_qwen2(folder / f"tiny-qwen2-{suffix}.gguf", dict.fromkeys((*MATRICES, "output"), element_type))
    # The element types of one file differ between tensors, as in real ones.
    legacy = dict(zip(MATRICES, (Q8_0, Q4_0, Q4_1, Q8_0, Q5_0, Q5_1, Q4_0, Q5_0)))
    make_qwen2(folder / "tiny-qwen2-legacy.gguf", legacy)
    k_quants = dict(zip(MATRICES, (Q6_K, Q4_K, Q5_K, Q6_K, Q4_K, Q4_K, Q5_K, Q6_K)))
    make_qwen2(folder / "tiny-qwen2-k.gguf", k_quants, width=256, layers=2, feed_forward=512)
    for suffix, element_type in (("f32", F32), ("bf16", BF16), ("q8_0", Q8_0)):
        make_gemma3(folder / f"tiny-gemma3-{suffix}.gguf", element_type)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
