"""Independent tokenisers over a GGUF file's vocabulary: sentencepiece for SPM, Hugging Face's tokenizers for BPE."""

import codecs
import mmap
import struct

SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6

GPT2 = r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
LLAMA3 = (
    r"""(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"""
)
PATTERNS = {"gpt-2": GPT2, "qwen2": LLAMA3 % r"\p{N}", "llama-bpe": LLAMA3 % r"\p{N}{1,3}"}


def replace_one_byte(error):
    return "\ufffd", error.start + 1


codecs.register_error("replace_one_byte", replace_one_byte)


def decode_input(text):
    """As the tokenisers read bytes: each that is not part of valid UTF-8 is one U+FFFD."""
    return text.decode("utf-8", errors="replace_one_byte")


def read_metadata(path):
    """The key-values of a GGUF file; a reader of a few lines, because the gguf package takes ten seconds a file."""
    with open(path, "rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    at = 0

    def take(layout):
        nonlocal at
        values = struct.unpack_from("<" + layout, data, at)
        at += struct.calcsize("<" + layout)
        return values

    def text():
        nonlocal at
        (size,) = take("Q")
        at += size
        return data[at - size : at].decode("utf-8")

    def value(kind):
        if kind == STRING:
            return text()
        if kind != ARRAY:
            return take(SCALARS[kind])[0]
        element, count = take("IQ")
        if element == STRING:
            return [text() for _ in range(count)]
        return list(take(f"{count}{SCALARS[element]}"))

    magic, _, _, count = take("4sIQQ")
    assert magic == b"GGUF", path
    metadata = {}
    for _ in range(count):
        key = text()
        metadata[key] = value(take("I")[0])
    return metadata


class BpeOracle:
    """Hugging Face's BPE without a normaliser, as GGUF knows none."""

    def __init__(self, metadata):
        from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

        tokens = metadata["tokenizer.ggml.tokens"]
        types = metadata["tokenizer.ggml.token_type"]
        merges = [tuple(merge.split(" ")) for merge in metadata["tokenizer.ggml.merges"]]
        vocabulary = {token: i for i, token in enumerate(tokens)}
        pattern = PATTERNS[metadata["tokenizer.ggml.pre"]]
        self.tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
        self.tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(pattern), behavior="isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
        self.tokenizer.decoder = decoders.ByteLevel()
        # Without "special", so that plain text is never a control token; the specials are for texts of a template.
        plain = [AddedToken(t, normalized=False) for t, kind in zip(tokens, types) if kind == USER_DEFINED]
        self.tokenizer.add_tokens(plain)
        self.control = [AddedToken(t, normalized=False) for t, kind in zip(tokens, types) if kind == CONTROL]

    def allow_control_tokens(self):
        self.tokenizer.add_tokens(self.control)

    def encode_all(self, texts):
        return [e.ids for e in self.tokenizer.encode_batch([decode_input(t) for t in texts], add_special_tokens=False)]

    def decode_all(self, ids):
        return self.tokenizer.decode_batch(ids, skip_special_tokens=False)


def varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number, value):
    """A field of a protocol buffer: bytes and texts with their length, bools and ints as varints, floats in 4 bytes."""
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    return varint(number << 3) + varint(int(value))


class SpmOracle:
    """sentencepiece with the same pieces, scores and types: BPE, byte fallback, no normalisation."""

    def __init__(self, metadata):
        import sentencepiece

        tokens = metadata["tokenizer.ggml.tokens"]
        scores = metadata["tokenizer.ggml.scores"]
        types = list(metadata["tokenizer.ggml.token_type"])
        # GGUF files write the unknown token as a control token; sentencepiece wants exactly one of its own type.
        types[metadata["tokenizer.ggml.unknown_token_id"]] = UNKNOWN
        model = bytearray()
        for token, score, kind in zip(tokens, scores, types):
            # Converters write the spaces of user-defined tokens as spaces.
            piece = token.replace(" ", "\u2581")
            model += field(1, field(1, piece) + field(2, float(score)) + field(3, kind))
        ids = {40: "unknown", 41: "bos", 42: "eos", 43: "padding"}  # the numbers of the fields of TrainerSpec
        trainer = field(3, 2) + field(35, True)  # model_type BPE, byte_fallback
        for number, name in ids.items():
            trainer += field(number, metadata[f"tokenizer.ggml.{name}_token_id"])
        for number, name in ((45, "unknown"), (46, "bos"), (47, "eos"), (48, "padding")):
            trainer += field(number, tokens[metadata[f"tokenizer.ggml.{name}_token_id"]])
        prefix = metadata.get("tokenizer.ggml.add_space_prefix", True)
        # add_dummy_prefix, remove_extra_whitespaces, escape_whitespaces
        normalizer = field(1, "identity") + field(3, prefix) + field(4, False) + field(5, True)
        model += field(2, trainer) + field(3, normalizer)
        self.processor = sentencepiece.SentencePieceProcessor()
        self.processor.LoadFromSerializedProto(bytes(model))

    def encode_all(self, texts):
        # sentencepiece replaces invalid bytes itself, one by one.
        return [self.processor.EncodeAsIds(text) for text in texts]

    def decode_all(self, ids):
        return [self.processor.DecodeIds(list(i)) for i in ids]


def make_oracle(path):
    metadata = read_metadata(path)
    return SpmOracle(metadata) if metadata["tokenizer.ggml.model"] == "llama" else BpeOracle(metadata)
