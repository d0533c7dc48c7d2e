"""The demonstration model's tokenizer: a BPE of 4096 entries in the form GGUF calls "gemma4".

Spaces become U+2581, what has no token falls back to bytes, and merges are applied by rank over whole runs of
text. Nothing splits the text into words first when encoding, so the trainer keeps every merge inside one word, one
stretch of punctuation or one run of newlines: then encoding word by word, as here, gives the same ids.
"""

import json
import random
import re
from functools import lru_cache

SPACE = "\u2581"
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6

# The first five have Gemma's ids; the others keep Gemma's order and types in a vocabulary too small for its numbers.
SPECIALS = [
    ("<pad>", CONTROL), ("<eos>", CONTROL), ("<bos>", CONTROL), ("<unk>", CONTROL), ("<mask>", CONTROL),
    ("<|tool>", CONTROL), ("<tool|>", CONTROL), ("<|tool_call>", USER_DEFINED), ("<tool_call|>", USER_DEFINED),
    ("<|tool_response>", USER_DEFINED), ("<tool_response|>", USER_DEFINED), ('<|"|>', USER_DEFINED),
    ("<|think|>", CONTROL), ("<|channel>", USER_DEFINED), ("<channel|>", USER_DEFINED),
    ("<|turn>", CONTROL), ("<turn|>", CONTROL),
]
PAD, EOS, BOS, UNK, MASK = range(5)
TURN_OPEN, TURN_CLOSE = 15, 16
MAX_NEWLINES = 4

# One word, digit, stretch of punctuation (with the space before it), further space, or run of newlines.
PIECES = re.compile(f"\n+|{SPACE}?[A-Za-z]+|{SPACE}?[0-9]|{SPACE}?[^A-Za-z0-9{SPACE}\n]+|{SPACE}")


def train(texts, vocab_size):
    """Learns merges by pair frequency, with `tokenizers` doing the counting, and lays out the vocabulary."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

    base = [text for text, _ in SPECIALS] + ["\n" * n for n in range(1, MAX_NEWLINES + 1)]
    base += [f"<0x{byte:02X}>" for byte in range(256)] + [SPACE] + [chr(c) for c in range(33, 127)]
    newline_merges = [("\n" * n, "\n") for n in range(1, MAX_NEWLINES)]

    # The characters the counter knows are all in `base` already, so only merge results are new.
    counter = Tokenizer(models.BPE())
    counter.pre_tokenizer = pre_tokenizers.Split(Regex(PIECES.pattern), "isolated")
    n_merges = vocab_size - len(base)
    counter.train_from_iterator(
        (text.replace(" ", SPACE) for text in texts),
        trainers.BpeTrainer(vocab_size=vocab_size, min_frequency=2, show_progress=False),
    )
    learned = [tuple(merge) for merge in json.loads(counter.to_str())["model"]["merges"]]
    tokens, merges = base, list(newline_merges)
    known = set(base)
    for left, right in learned:
        if "\n" in left + right:
            continue
        if left + right not in known:
            if len(tokens) == vocab_size:
                break
            tokens.append(left + right)
            known.add(left + right)
        merges.append((left, right))
    assert len(tokens) == vocab_size, f"{len(tokens)} tokens, {n_merges} merges wanted"
    return DemoTokenizer(tokens, merges)


class DemoTokenizer:
    def __init__(self, tokens, merges):
        self.tokens = tokens
        self.merges = [tuple(merge) for merge in merges]
        self.ids = {token: i for i, token in enumerate(tokens)}
        self.ranks = {merge: rank for rank, merge in enumerate(self.merges)}
        self.specials = {text: self.ids[text] for text, _ in SPECIALS}
        self.special_pattern = re.compile("|".join(re.escape(t) for t in sorted(self.specials, key=len, reverse=True)))
        self._merge_cached = lru_cache(maxsize=None)(lambda piece: self._merge(piece, 0.0, None))

    def save(self, path):
        with open(path, "w") as file:
            json.dump({"tokens": self.tokens, "merges": self.merges}, file)

    @staticmethod
    def load(path):
        with open(path) as file:
            stored = json.load(file)
        return DemoTokenizer(stored["tokens"], stored["merges"])

    def token_types(self):
        types = [NORMAL] * len(self.tokens)
        for text, kind in SPECIALS:
            types[self.ids[text]] = kind
        for byte in range(256):
            types[self.ids[f"<0x{byte:02X}>"]] = BYTE
        return types

    def encode(self, text, dropout=0.0, rng=random):
        """Ids of `text`, its markers as specials. `dropout` skips merges at random (BPE-dropout, Provilkov 2020)."""
        ids, position = [], 0
        for match in self.special_pattern.finditer(text):
            ids += self._encode_plain(text[position:match.start()], dropout, rng)
            ids.append(self.specials[match.group()])
            position = match.end()
        return ids + self._encode_plain(text[position:], dropout, rng)

    def decode(self, ids):
        out = bytearray()
        for i in ids:
            token = self.tokens[i]
            is_byte = re.fullmatch(r"<0x([0-9A-F]{2})>", token)
            out += bytes([int(is_byte.group(1), 16)]) if is_byte else token.replace(SPACE, " ").encode()
        return out.decode(errors="replace")

    def _encode_plain(self, text, dropout, rng):
        ids = []
        for piece in PIECES.findall(text.replace(" ", SPACE)):
            # A whole word is disturbed or left alone: cheaper than a draw per merge, and most words stay cached.
            ids += self._merge(piece, 0.5, rng) if dropout and rng.random() < dropout else self._merge_cached(piece)
        return ids

    def _merge(self, piece, skip, rng):
        symbols = list(piece)
        while len(symbols) > 1:
            ranked = [
                (self.ranks[pair], i)
                for i, pair in enumerate(zip(symbols, symbols[1:]))
                if pair in self.ranks and not (skip and rng.random() < skip)
            ]
            if not ranked:
                break
            _, i = min(ranked)
            symbols[i:i + 2] = [symbols[i] + symbols[i + 1]]
        ids = []
        for symbol in symbols:
            known = self.ids.get(symbol)
            ids += [known] if known is not None else [self.ids[f"<0x{byte:02X}>"] for byte in symbol.encode()]
        return ids
