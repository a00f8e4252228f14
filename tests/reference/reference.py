"""The model families in fp64 numpy, written from the papers and the file format, for comparison with the engine.

Nothing here shares code or layout with the engine: weights are read and dequantised by the `gguf` package, then every
operation is done in fp64 over the whole sequence at once, with no cache. Logits of it are exact to about 1e-12.
"""

import gguf
import numpy as np

SPACE = "\u2581"


class Model:
    """A qwen2 or gemma3 model. logits(tokens) gives a row for each position."""

    def __init__(self, path):
        reader = gguf.GGUFReader(path)
        self.metadata = {name: field.contents() for name, field in reader.fields.items()}
        self.family = self.metadata["general.architecture"]
        if self.family not in ("qwen2", "gemma3"):
            raise ValueError(f"no reference for {self.family}")
        self.weights = {}
        for tensor in reader.tensors:
            values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
            self.weights[tensor.name] = values.reshape(tuple(int(n) for n in tensor.shape[::-1]))

        self.width = self._get("embedding_length")
        self.layers = self._get("block_count")
        self.heads = self._get("attention.head_count")
        self.kv_heads = self._get("attention.head_count_kv")
        self.head = self._get("attention.key_length", self.width // self.heads)
        self.epsilon = self._get("attention.layer_norm_rms_epsilon")
        self.rope_base = self._get("rope.freq_base", 10000.0)
        self.window = self._get("attention.sliding_window", 0)

    def _get(self, key, *default):
        return self.metadata.get(f"{self.family}.{key}", *default) if default else self.metadata[f"{self.family}.{key}"]

    def _weight(self, name):
        return self.weights[name].astype(np.float64)

    def _norm(self, x, name):
        return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + self.epsilon) * self._weight(name)

    def _project(self, x, name):
        y = x @ self._weight(name + ".weight").T
        return y + self._weight(name + ".bias") if name + ".bias" in self.weights else y

    def _rope(self, x, base):
        """x: [position, head, dimension]; dimension i turns with i + half."""
        half = x.shape[-1] // 2
        angles = np.arange(x.shape[0])[:, None] * base ** (-np.arange(half) / half)
        cos, sin = np.cos(angles)[:, None, :], np.sin(angles)[:, None, :]
        a, b = x[..., :half], x[..., half:]
        return np.concatenate([a * cos - b * sin, a * sin + b * cos], axis=-1)

    def _attention(self, x, layer):
        n = x.shape[0]
        block = f"blk.{layer}."
        q = self._project(x, block + "attn_q").reshape(n, self.heads, self.head)
        k = self._project(x, block + "attn_k").reshape(n, self.kv_heads, self.head)
        v = self._project(x, block + "attn_v").reshape(n, self.kv_heads, self.head)
        is_local = False
        if self.family == "gemma3":
            q = self._norm(q, block + "attn_q_norm.weight")
            k = self._norm(k, block + "attn_k_norm.weight")
            is_local = (layer + 1) % 6 != 0
        base = 10000.0 if is_local else self.rope_base
        q, k = self._rope(q, base), self._rope(k, base)

        position = np.arange(n)
        hidden = position[None, :] > position[:, None]
        if is_local:
            hidden |= position[:, None] - position[None, :] >= self.window
        out = np.empty_like(q)
        for head in range(self.heads):
            kv_head = head * self.kv_heads // self.heads
            scores = q[:, head] @ k[:, kv_head].T / np.sqrt(self.head)
            scores[hidden] = -np.inf
            p = np.exp(scores - scores.max(axis=-1, keepdims=True))
            out[:, head] = p / p.sum(axis=-1, keepdims=True) @ v[:, kv_head]
        return self._project(out.reshape(n, -1), block + "attn_output")

    def _feed_forward(self, x, layer):
        block = f"blk.{layer}."
        gate = self._project(x, block + "ffn_gate")
        if self.family == "gemma3":
            gate = 0.5 * gate * (1 + np.tanh(np.sqrt(2 / np.pi) * (gate + 0.044715 * gate**3)))
        else:
            gate = gate / (1 + np.exp(-gate))
        return self._project(gate * self._project(x, block + "ffn_up"), block + "ffn_down")

    def logits(self, tokens, positions=None):
        """[len(positions), vocabulary]; all positions where none are named."""
        x = self.weights["token_embd.weight"][np.asarray(tokens)].astype(np.float64)
        if self.family == "gemma3":
            x = x * np.sqrt(self.width)
        for layer in range(self.layers):
            block = f"blk.{layer}."
            y = self._attention(self._norm(x, block + "attn_norm.weight"), layer)
            if self.family == "gemma3":
                y = self._norm(y, block + "post_attention_norm.weight")
            x = x + y
            y = self._feed_forward(self._norm(x, block + "ffn_norm.weight"), layer)
            if self.family == "gemma3":
                y = self._norm(y, block + "post_ffw_norm.weight")
            x = x + y
        if positions is not None:
            x = x[np.asarray(positions)]
        x = self._norm(x, "output_norm.weight")
        output = "output.weight" if "output.weight" in self.weights else "token_embd.weight"
        # By parts of the vocabulary: a large one in fp64 would take gigabytes.
        rows = self.weights[output]
        return np.concatenate([x @ rows[i : i + 8192].astype(np.float64).T for i in range(0, len(rows), 8192)], axis=1)


def tokenize(model, text):
    """Without BOS and without recognising control tokens in the text."""
    tokens = model.metadata["tokenizer.ggml.tokens"]
    if model.metadata["tokenizer.ggml.model"] == "llama":
        return _tokenize_spm(model, text)
    import tokenizers

    merges = [tuple(merge.split(" ")) for merge in model.metadata["tokenizer.ggml.merges"]]
    bpe = tokenizers.Tokenizer(tokenizers.models.BPE({token: i for i, token in enumerate(tokens)}, merges))
    pattern = (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
    bpe.pre_tokenizer = tokenizers.pre_tokenizers.Sequence(
        [
            tokenizers.pre_tokenizers.Split(tokenizers.Regex(pattern), "isolated"),
            tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return bpe.encode(text).ids


def _tokenize_spm(model, text):
    """User-defined tokens are cut out first, the longest at each place; they stand in the file with plain spaces."""
    import re

    tokens = model.metadata["tokenizer.ggml.tokens"]
    types = model.metadata["tokenizer.ggml.token_type"]
    user_defined = {token: i for i, token in enumerate(tokens) if types[i] == 4}
    ids = {token: i for i, token in enumerate(tokens) if types[i] == 1}
    byte_ids = {int(token[3:5], 16): i for i, token in enumerate(tokens) if types[i] == 6}
    if not user_defined:
        return _join_pieces(text, ids, byte_ids, model.metadata["tokenizer.ggml.scores"])
    result = []
    pattern = "|".join(re.escape(token) for token in sorted(user_defined, key=len, reverse=True))
    for part in re.split(f"({pattern})", text):
        if part in user_defined:
            result.append(user_defined[part])
        else:
            result += _join_pieces(part, ids, byte_ids, model.metadata["tokenizer.ggml.scores"])
    return result


def _join_pieces(text, ids, byte_ids, scores):
    """Joins the neighbours of the highest score, the leftmost of equals; bytes for what is in no piece. By heap and
    linked list, after SentencePiece's own."""
    import heapq

    text = text.replace(" ", SPACE)
    pieces = list(text)
    before = list(range(-1, len(pieces) - 1))
    after = list(range(1, len(pieces) + 1))
    heap = []

    def propose(left):
        right = after[left] if left >= 0 else len(pieces)
        if right < len(pieces) and pieces[left] + pieces[right] in ids:
            joined = pieces[left] + pieces[right]
            heapq.heappush(heap, (-scores[ids[joined]], left, joined))

    for i in range(len(pieces)):
        propose(i)
    while heap:
        _, left, joined = heapq.heappop(heap)
        right = after[left]
        if not pieces[left] or right >= len(pieces) or pieces[left] + pieces[right] != joined:
            continue
        pieces[left], pieces[right] = joined, ""
        after[left] = after[right]
        if after[right] < len(pieces):
            before[after[right]] = left
        if before[left] >= 0:
            propose(before[left])
        propose(left)
    result = []
    for piece in filter(None, pieces):
        result += [ids[piece]] if piece in ids else [byte_ids[byte] for byte in piece.encode()]
    return result


def logprobs(logits):
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def perplexity(model, tokens, context, chunks):
    """The convention of llama.cpp's perplexity tool: chunks of `context` tokens, BOS in place of each one's first where
    the model asks for BOS, the second half scored. Returns the running values after each chunk."""
    total, scored, running = 0.0, 0, []
    for chunk in range(min(chunks, len(tokens) // context)):
        row = list(tokens[chunk * context : (chunk + 1) * context])
        # The text is tokenised with BOS before it, so that the first chunk's first token is BOS already.
        if model.metadata.get("tokenizer.ggml.add_bos_token"):
            row[0] = model.metadata["tokenizer.ggml.bos_token_id"]
        first = context // 2
        of_targets = logprobs(model.logits(row, range(first, context - 1)))
        total -= sum(of_targets[i, row[first + 1 + i]] for i in range(context - 1 - first))
        scored += context - 1 - first
        running.append(float(np.exp(total / scored)))
    return running
