"""Muon for the matrices, AdamW for the embedding and the gains.

Muon (Jordan, 2024) steps along the orthogonalized momentum. With 1.6 MB of text there are only some hundred steps per
run to spend, and it needs markedly fewer of them than AdamW alone.
"""

import torch


def orthogonalize(g):
    """Nearest semi-orthogonal matrix by five quintic Newton-Schulz steps; g is (matrices, rows, columns)."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = g.bfloat16()
    tall = x.shape[1] > x.shape[2]
    if tall:
        x = x.mT
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        s = x @ x.mT
        x = a * x + (b * s + c * s @ s) @ x
    return (x.mT if tall else x).float()


class Muon:
    def __init__(self, matrices, momentum=0.95):
        self.momentum = momentum
        by_shape = {}
        for p in matrices:
            by_shape.setdefault(p.shape, []).append(p)
        self.groups = [(ps, [torch.zeros_like(p) for p in ps]) for ps in by_shape.values()]

    @torch.no_grad()
    def step(self, lr, weight_decay):
        for parameters, velocities in self.groups:
            gradients = [p.grad for p in parameters]
            torch._foreach_lerp_(velocities, gradients, 1 - self.momentum)
            directions = torch._foreach_lerp(gradients, velocities, self.momentum)
            updates = orthogonalize(torch.stack(directions))
            rows, columns = parameters[0].shape
            torch._foreach_mul_(parameters, 1 - lr * weight_decay)
            torch._foreach_add_(parameters, list(updates), alpha=-lr * max(1, rows / columns) ** 0.5)
