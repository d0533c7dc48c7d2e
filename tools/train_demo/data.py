"""Tales as training text: which are held out, how they become chat turns, how they are packed into rows."""

import hashlib
import json
import random
import re
from collections import Counter

import torch

# Nouns a reader may ask for; a tale answers a request for those it mentions often.
CHARACTERS = (
    "king queen prince princess witch giant dwarf tailor miller fisherman huntsman soldier shepherd peasant farmer "
    "maiden sister brother mother father devil fox wolf bear lion cat dog bird horse hare mouse frog goose donkey ass "
    "raven snake goat sheep cock crow eagle stag bull tree castle forest well mill gold ring robber thief merchant "
    "cook smith girl boy"
).split()

ASK_BY_TITLE = ("Tell me the tale of {}.", "Tell me the tale of {}", "Tell me a story about {}.", "Tell the tale of {}.",
                "Please tell me the story of {}.", "I would like to hear the tale of {}.")
ASK_BY_CHARACTERS = ("Tell me a tale of {}.", "Tell me a story about {}.", "Tell me the tale of {}", "A tale about {}, please.",
                     "Tell me a tale about {}.")
ASK_FOR_ANY = ("Tell me a tale.", "Tell me a story.", "Tell me a fairy tale.", "Tell me another tale.")


def load_tales(path):
    with open(path) as file:
        return [json.loads(line) for line in file]


def is_held_out(tale):
    """One tale in twenty, by its title alone, so that the split survives reordering. The salt spreads lengths."""
    return hashlib.sha256(("1:" + tale["title"].lower()).encode()).digest()[0] < 13


def chat_text(prompt, answer=None):
    """The turn syntax of Gemma 4; without an answer, a prompt for generation."""
    head = f"<bos><|turn>user\n{prompt}<turn|>\n<|turn>model\n"
    return head if answer is None else f"{head}{answer}<turn|>\n"


def frequent_characters(text):
    counts = Counter(re.findall(r"[a-z]+", text.lower()))
    present = [(counts[name] + counts[name + "s"], name) for name in CHARACTERS]
    return [name for count, name in sorted(present, reverse=True)[:4] if count >= 3]


def request_for(tale, rng):
    draw, characters = rng.random(), frequent_characters(tale["text"])
    if draw < 0.6 or (draw < 0.9 and not characters):
        title = tale["title"]
        return rng.choice(ASK_BY_TITLE).format(title.lower() if rng.random() < 0.8 else title)
    if draw < 0.9:
        chosen = rng.sample(characters, min(len(characters), rng.choice((1, 2, 2))))
        article = rng.choice(("the", "a"))
        names = [f"{'an' if article == 'a' and name[0] in 'aeiou' else article} {name}" for name in chosen]
        return rng.choice(ASK_BY_CHARACTERS).format(" and ".join(names))
    return rng.choice(ASK_FOR_ANY)


def tale_tokens(tale, tokenizer, dropout, rng):
    """(ids, weights) of one tale, plain or as an answered request. The request itself is not trained on."""
    if rng.random() < 0.4:
        ids = tokenizer.encode(f"<bos>{tale['text']}<eos>", dropout, rng)
        return ids, [1.0] * len(ids)
    asked = tokenizer.encode(chat_text(request_for(tale, rng)))
    told = tokenizer.encode(f"{tale['text']}<turn|>\n", dropout, rng)
    return asked + told, [0.0] * len(asked) + [1.0] * len(told)


def epoch_rows(tales, tokenizer, row_length, dropout, rng):
    """All tales once, in a new order and new tokens, cut from a random offset: (rows, row_length + 1) ids, weights."""
    ids, weights = [], []
    for tale in rng.sample(tales, len(tales)):
        tale_ids, tale_weights = tale_tokens(tale, tokenizer, dropout, rng)
        ids += tale_ids
        weights += tale_weights
    offset = rng.randrange(row_length)
    n_rows = (len(ids) - offset - 1) // row_length
    starts = [offset + row * row_length for row in range(n_rows)]
    rng.shuffle(starts)
    return (torch.tensor([ids[s:s + row_length + 1] for s in starts]),
            torch.tensor([weights[s:s + row_length + 1] for s in starts]))


def held_out_rows(tales, tokenizer, row_length):
    """Plain held-out tales, each from its <bos>, in rows padded with weight 0; long tales are cut."""
    rows, weights = [], []
    for tale in tales:
        ids = tokenizer.encode(f"<bos>{tale['text']}<eos>")
        for start in range(0, len(ids) - 1, row_length):
            row = ids[start:start + row_length + 1]
            padding = row_length + 1 - len(row)
            rows.append(row + [0] * padding)
            weights.append([1.0] * len(row) + [0.0] * padding)
    return torch.tensor(rows), torch.tensor(weights)


def batches(rows, weights, batch_size):
    for start in range(0, len(rows), batch_size):
        yield rows[start:start + batch_size], weights[start:start + batch_size]


def seeded(seed):
    return random.Random(seed)
