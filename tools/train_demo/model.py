"""Gemma 4, dense, in PyTorch: what `gemma4` in a GGUF file means, written for training a small one.

Sliding-window layers with keys and values of their own, every `period`-th layer with full attention whose values are
its raw keys, norms before and after each branch, RMS norms of q, k and v per head, attention scale 1, a scalar on each
layer's output, the head tied to the embedding and a soft cap on the logits.
"""

from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import nn

EPS = 1e-6


@dataclass
class Config:
    vocab: int = 4096
    hidden: int = 256
    n_layers: int = 8
    period: int = 4  # layer i has full attention where i mod period is period - 1
    ffn: int = 1024
    n_heads: int = 4
    n_kv_heads: int = 2
    head_dim: int = 64
    n_kv_heads_full: int = 1
    head_dim_full: int = 128
    window: int = 256
    context: int = 2048
    theta: float = 1e4
    theta_full: float = 1e6
    rotated_full: float = 0.25  # share of a full layer's pairs that rotate
    softcap: float = 30.0

    def is_full(self, layer):
        return layer % self.period == self.period - 1

    def as_dict(self):
        return asdict(self)


def rms(x):
    return x * torch.rsqrt(x.float().square().mean(-1, keepdim=True) + EPS).to(x.dtype)


class Norm(nn.Module):
    def __init__(self, width, gain=1.0):
        super().__init__()
        self.weight = nn.Parameter(torch.full((width,), gain))

    def forward(self, x):
        return rms(x) * self.weight


def rope_factors(config):
    """Divisors of a full layer's angles: the first quarter of the pairs rotates, the others stand still."""
    n_pairs = config.head_dim_full // 2
    factors = torch.full((n_pairs,), 1e30)
    factors[: int(n_pairs * config.rotated_full)] = 1.0
    return factors


def rope_tables(config, full, n_positions):
    head_dim, theta = (config.head_dim_full, config.theta_full) if full else (config.head_dim, config.theta)
    inverse = theta ** (-torch.arange(0, head_dim, 2, dtype=torch.float64) / head_dim)
    if full:
        inverse = inverse / rope_factors(config).double()
    angles = torch.arange(n_positions, dtype=torch.float64)[:, None] * inverse
    return angles.cos().float(), angles.sin().float()


def rope(x, cos, sin):  # x (batch, heads, positions, head_dim); pair i is dims i and i + head_dim / 2
    a, b = x.float().chunk(2, -1)
    return torch.cat((a * cos - b * sin, a * sin + b * cos), -1)


def linear(n_in, n_out):
    layer = nn.Linear(n_in, n_out, bias=False)
    nn.init.normal_(layer.weight, std=n_in**-0.5)
    return layer


class Attention(nn.Module):
    def __init__(self, config, full):
        super().__init__()
        self.full = full
        self.n_heads = config.n_heads
        self.n_kv_heads = config.n_kv_heads_full if full else config.n_kv_heads
        self.head_dim = config.head_dim_full if full else config.head_dim
        self.q = linear(config.hidden, self.n_heads * self.head_dim)
        self.k = linear(config.hidden, self.n_kv_heads * self.head_dim)
        self.v = None if full else linear(config.hidden, self.n_kv_heads * self.head_dim)
        self.out = linear(self.n_heads * self.head_dim, config.hidden)
        # The scale is 1 by architecture, so the two gains start where q . k has unit variance.
        self.q_norm = Norm(self.head_dim, self.head_dim**-0.25)
        self.k_norm = Norm(self.head_dim, self.head_dim**-0.25)

    def forward(self, x, cos, sin, mask):
        batch, length, _ = x.shape
        q = self.q(x).view(batch, length, self.n_heads, self.head_dim).transpose(1, 2)
        raw_k = self.k(x).view(batch, length, self.n_kv_heads, self.head_dim).transpose(1, 2)
        v = raw_k if self.v is None else self.v(x).view(batch, length, self.n_kv_heads, self.head_dim).transpose(1, 2)
        q = rope(self.q_norm(q), cos, sin).to(v.dtype)
        k = rope(self.k_norm(raw_k), cos, sin).to(v.dtype)
        group = self.n_heads // self.n_kv_heads
        k, v = (t.repeat_interleave(group, 1) for t in (k, rms(v)))
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None, scale=1.0)
        return self.out(y.transpose(1, 2).reshape(batch, length, -1))


class Layer(nn.Module):
    def __init__(self, config, full):
        super().__init__()
        branch_gain = (2 * config.n_layers) ** -0.5
        self.attn_norm = Norm(config.hidden)
        self.attn = Attention(config, full)
        self.post_attn_norm = Norm(config.hidden, branch_gain)
        self.ffn_norm = Norm(config.hidden)
        self.gate = linear(config.hidden, config.ffn)
        self.up = linear(config.hidden, config.ffn)
        self.down = linear(config.ffn, config.hidden)
        self.post_ffn_norm = Norm(config.hidden, branch_gain)
        self.output_scale = nn.Parameter(torch.ones(1))

    def forward(self, h, cos, sin, mask, dropout):
        h = h + F.dropout(self.post_attn_norm(self.attn(self.attn_norm(h), cos, sin, mask)), dropout, self.training)
        x = self.ffn_norm(h)
        y = self.down(F.gelu(self.gate(x), approximate="tanh") * self.up(x))
        h = h + F.dropout(self.post_ffn_norm(y), dropout, self.training)
        return h * self.output_scale


class Gemma(nn.Module):
    def __init__(self, config, dropout=0.0):
        super().__init__()
        self.config, self.dropout = config, dropout
        self.embedding = nn.Embedding(config.vocab, config.hidden)
        nn.init.normal_(self.embedding.weight, std=config.hidden**-0.5)
        self.layers = nn.ModuleList(Layer(config, config.is_full(i)) for i in range(config.n_layers))
        self.output_norm = Norm(config.hidden)
        for name, full in (("sliding", False), ("full", True)):
            cos, sin = rope_tables(config, full, config.context)
            self.register_buffer(f"{name}_cos", cos, persistent=False)
            self.register_buffer(f"{name}_sin", sin, persistent=False)

    def forward(self, ids):  # (batch, positions) -> logits (batch, positions, vocab), float32
        length = ids.shape[1]
        h = self.embedding(ids) * self.config.hidden**0.5
        h = F.dropout(h, self.dropout, self.training)
        position = torch.arange(length, device=ids.device)
        distance = position[:, None] - position[None, :]
        window_mask = (distance >= 0) & (distance < self.config.window)
        for layer in self.layers:
            cos, sin = (self.full_cos, self.full_sin) if layer.attn.full else (self.sliding_cos, self.sliding_sin)
            mask = None if layer.attn.full else window_mask
            h = layer(h, cos[:length], sin[:length], mask, self.dropout)
        logits = F.linear(self.output_norm(h), self.embedding.weight).float()
        return self.config.softcap * torch.tanh(logits / self.config.softcap)

    @torch.no_grad()
    def generate(self, ids, n_tokens, temperature=0.0, top_k=40, stop=(), seed=0):
        generator = torch.Generator().manual_seed(seed)
        ids = list(ids)
        for _ in range(n_tokens):
            logits = self(torch.tensor([ids]))[0, -1]
            if temperature == 0:
                token = int(logits.argmax())
            else:
                values, indices = (logits / temperature).topk(top_k)
                token = int(indices[torch.multinomial(values.softmax(-1), 1, generator=generator)])
            if token in stop:
                break
            ids.append(token)
        return ids
