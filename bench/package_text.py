"""Text of this machine's own package index, spelled in a model's tokens.

Rows whose prompts are token ids have the lengths that a measure asks for, to the token, and what they share can be counted
from the rows alone.
"""

import re
import struct
import subprocess

STATUS = "/var/lib/dpkg/status"
# GGUF's types of values with a fixed size, as struct knows them (docs/formats/gguf.md).
FIXED = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9
ORDINARY_TOKEN = 1


class TextError(Exception):
    """The machine has no package index, or the model no vocabulary that was understood."""


class MetadataReader:
    def __init__(self, file):
        self.file = file

    def fixed(self, kind):
        size = struct.calcsize("<" + kind)
        data = self.file.read(size)
        if len(data) < size:
            raise TextError("the model file ends early")
        return struct.unpack("<" + kind, data)[0]

    def string(self):
        return self.file.read(self.fixed("Q"))

    def value(self, kind):
        if kind == STRING:
            return self.string()
        if kind == ARRAY:
            of, count = self.fixed("I"), self.fixed("Q")
            return [self.value(of) for _ in range(count)]
        if kind not in FIXED:
            raise TextError(f"the model file has metadata of the unknown type {kind}")
        return self.fixed(FIXED[kind])


def read_metadata(path):
    with open(path, "rb") as file:
        reader = MetadataReader(file)
        if file.read(4) != b"GGUF":
            raise TextError(f"{path} is no GGUF file")
        reader.fixed("I")
        reader.fixed("Q")
        pairs = reader.fixed("Q")
        return {reader.string().decode(): reader.value(reader.fixed("I")) for _ in range(pairs)}


class Vocabulary:
    """Spells text greedily by the longest token: not always as the model's tokeniser does, which no speed depends on."""

    def __init__(self, metadata):
        try:
            tokens = metadata["tokenizer.ggml.tokens"]
            kinds = metadata.get("tokenizer.ggml.token_type", [ORDINARY_TOKEN] * len(tokens))
            space = "Ġ" if metadata["tokenizer.ggml.model"] == b"gpt2" else "▁"
        except KeyError as missing:
            raise TextError(f"the model file has no {missing}") from None
        self.ids = {}
        for token, (text, kind) in enumerate(zip(tokens, kinds)):
            text = text.decode(errors="replace").replace(space, " ")
            if kind == ORDINARY_TOKEN and text.isascii():
                self.ids.setdefault(text, token)
        self.longest = max(map(len, self.ids), default=0)
        begins = metadata.get("tokenizer.ggml.add_bos_token", False) and "tokenizer.ggml.bos_token_id" in metadata
        self.beginning = [metadata["tokenizer.ggml.bos_token_id"]] if begins else []  # of every prompt

    def spell(self, text):
        """The tokens of a text; characters that no token begins with are left out."""
        out, at = [], 0
        while at < len(text):
            for length in range(min(self.longest, len(text) - at), 0, -1):
                token = self.ids.get(text[at:at + length])
                if token is not None:
                    out.append(token)
                    break
            else:
                length = 1
            at += length
        return out


def read_index():
    """The package index as text: what may be installed, or where that is not known what is."""
    try:
        dump = subprocess.run(["apt-cache", "dumpavail"], capture_output=True, check=False, text=True, errors="replace").stdout
    except OSError:
        dump = ""
    if "\nDescription: " not in dump:
        try:
            with open(STATUS, encoding="utf-8", errors="replace") as file:
                dump = file.read()
        except OSError as error:
            raise TextError(f"the jobs are made of Debian's package index, which is not here: {error}") from None
    return dump


def sentences_of(index):
    """A sentence for each package, sorted, each once."""
    found = re.findall(r"^Package: (\S+)$(?:\n.+)*?\nDescription(?:-en)?: (.+)$", index, re.MULTILINE)
    return sorted({f" {name}: {description.strip()}." for name, description in found})


class Texts:
    """Draws runs of tokens from sentences; the same generator of random numbers draws the same ones."""

    def __init__(self, sentences, vocabulary):
        self.sentences, self.vocabulary = sentences, vocabulary
        if not any(vocabulary.spell(sentence) for sentence in sentences[:100]):
            raise TextError("the model's vocabulary spells nothing of the package index")

    def draw(self, random, length, begins=False):
        """So many tokens; `begins`: those with which the model's prompts begin are the first of them."""
        out = list(self.vocabulary.beginning) if begins else []
        while len(out) < length:
            out += self.vocabulary.spell(random.choice(self.sentences))
        return out[:length]


def attention_shape(metadata):
    """What attention computes: heads, lengths of keys and values, and each layer's window (0: none)."""
    architecture = metadata["general.architecture"].decode()
    of = lambda name, default=0: metadata.get(f"{architecture}.{name}", default)
    heads = of("attention.head_count")
    length = of("embedding_length") // heads
    window = of("attention.sliding_window")
    # Gemma 3: every sixth layer sees all positions.
    windows = [window if window and (layer + 1) % 6 else 0 for layer in range(of("block_count"))]
    return {"heads": heads, "key_length": of("attention.key_length", length), "value_length": of("attention.value_length", length),
            "windows": windows}
