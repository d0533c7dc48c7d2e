"""Trains the demonstration model on tales and keeps the checkpoint that predicts held-out tales best.

    python train.py --data ../../../shared/data/tales.jsonl --out out --epochs 16 --minutes 70

Writes into --out: tokenizer.json, best.pt (weights averaged over the last steps, and the config), heldout.txt.
The schedule follows whichever of --epochs and --minutes is used up first, so a slow machine trains less but anneals.
See README.md; export.py turns best.pt into a GGUF file.
"""

import argparse
import copy
import os
import time

import torch
import torch.nn.functional as F

import data
import tokenizer as tokenizers
from model import Config, Gemma
from optimizer import Muon


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", required=True, help="tales.jsonl: one object a line with title and text")
    parser.add_argument("--out", default="out")
    parser.add_argument("--start-from", help="a best.pt to go on from; lower the learning rates then")
    parser.add_argument("--epochs", type=float, default=16)
    parser.add_argument("--minutes", type=float, default=1e9)
    parser.add_argument("--batch-tokens", type=int, default=4096)
    parser.add_argument("--row-length", type=int, default=1024)
    parser.add_argument("--layers", type=int, default=Config.n_layers)
    parser.add_argument("--dropout", type=float, default=0.15)
    parser.add_argument("--bpe-dropout", type=float, default=0.1)
    parser.add_argument("--matrix-lr", type=float, default=0.02)
    parser.add_argument("--lr", type=float, default=4e-3, help="of the embedding and the gains")
    parser.add_argument("--weight-decay", type=float, default=0.1)
    parser.add_argument("--averaging", type=float, default=0.99, help="decay of the running average of the weights")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def token_losses(model, ids, weights, device_type):
    """Summed weighted loss of each row's next tokens, and the summed weights."""
    with torch.autocast(device_type, torch.bfloat16):
        logits = model(ids[:, :-1])
    losses = F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
    weights = weights[:, 1:].flatten()
    return (losses * weights).sum(), weights.sum()


@torch.no_grad()
def held_out_loss(model, rows, weights, device_type):
    model.eval()
    total, count = 0.0, 0.0
    for ids, w in data.batches(rows, weights, 8):
        loss, n = token_losses(model, ids, w, device_type)
        total, count = total + loss.item(), count + n.item()
    return total / count


def learning_rate_factor(progress):
    """Up in 3 % of the run, level to 40 %, then straight down to zero: the anneal is where held-out loss falls."""
    return min(progress / 0.03, 1.0, max(0.0, (1 - progress) / 0.6))


class Trainer:
    def __init__(self, args, model):
        self.args = args
        matrices = [p for p in model.layers.parameters() if p.ndim == 2]
        gains = [p for p in model.parameters() if p.ndim == 1]
        self.muon = Muon(matrices)
        self.adam = torch.optim.AdamW(
            [{"params": [model.embedding.weight], "weight_decay": args.weight_decay}, {"params": gains, "weight_decay": 0.0}],
            lr=args.lr, betas=(0.9, 0.98))
        self.model = model
        self.average = copy.deepcopy(model)
        self.n_steps = 0
        self.loss = torch.compile(token_losses, dynamic=False)

    def step(self, ids, weights, factor):
        self.model.train()
        loss, n = self.loss(self.model, ids, weights, torch.device(self.args.device).type)
        (loss / n).backward()
        self.muon.step(self.args.matrix_lr * factor, self.args.weight_decay)
        for group in self.adam.param_groups:
            group["lr"] = self.args.lr * factor
        self.adam.step()
        self.model.zero_grad(set_to_none=True)
        self.n_steps += 1
        decay = min(self.args.averaging, self.n_steps / (self.n_steps + 10))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.model.parameters()), 1 - decay)
        return (loss / n).item()


def prepare(args):
    tales = data.load_tales(args.data)
    training = [t for t in tales if not data.is_held_out(t)]
    held_out = [t for t in tales if data.is_held_out(t)]
    tokenizer = tokenizers.train([t["text"] for t in training], Config.vocab)
    os.makedirs(args.out, exist_ok=True)
    tokenizer.save(f"{args.out}/tokenizer.json")
    with open(f"{args.out}/heldout.txt", "w") as file:
        file.write("\n".join(t["text"] for t in held_out) + "\n")
    return training, held_out, tokenizer


def main():
    args = arguments()
    torch.manual_seed(args.seed)
    rng = data.seeded(args.seed)
    if args.threads:
        torch.set_num_threads(args.threads)
    training, held_out, tokenizer = prepare(args)
    device = torch.device(args.device)
    checks = [t.to(device) for t in data.held_out_rows(held_out, tokenizer, args.row_length)]
    model = Gemma(Config(n_layers=args.layers), args.dropout).to(device)
    if args.start_from:
        model.load_state_dict(torch.load(args.start_from, weights_only=True)["model"])
    n_parameters = sum(p.numel() for p in model.parameters())
    print(f"{n_parameters / 1e6:.2f} M parameters, {len(training)} tales, {len(held_out)} held out "
          f"({int(checks[1].sum()) - len(checks[1])} tokens)", flush=True)

    trainer, start, best, epoch, progress = Trainer(args, model), time.time(), float("inf"), 0, 0.0
    while progress < 1:
        rows, weights = (t.to(device) for t in data.epoch_rows(training, tokenizer, args.row_length, args.bpe_dropout, rng))
        batch_size = args.batch_tokens // args.row_length
        n_batches = len(rows) // batch_size  # the last, ragged batch would mean another compilation
        losses = []
        for i, (ids, w) in enumerate(list(data.batches(rows, weights, batch_size))[:n_batches]):
            progress = max((epoch + i / n_batches) / args.epochs, (time.time() - start) / 60 / args.minutes)
            losses.append(trainer.step(ids, w, learning_rate_factor(progress)))
            if progress >= 1:
                break
            if i % 10 == 0:
                print(f"  step {trainer.n_steps} loss {losses[-1]:.3f} {time.time() - start:.0f} s", flush=True)
        epoch += 1
        progress = max(progress, epoch / args.epochs)
        loss = held_out_loss(trainer.average, *checks, device.type)
        print(f"epoch {epoch} train {sum(losses) / len(losses):.3f} held-out {loss:.4f} perplexity "
              f"{torch.tensor(loss).exp():.2f} {time.time() - start:.0f} s", flush=True)
        if loss < best:
            best = loss
            state = {name: t.cpu() for name, t in trainer.average.state_dict().items()}
            torch.save({"config": model.config.as_dict(), "model": state, "held_out_loss": loss}, f"{args.out}/best.tmp")
            os.replace(f"{args.out}/best.tmp", f"{args.out}/best.pt")
    print(f"best held-out loss {best:.4f}", flush=True)


if __name__ == "__main__":
    main()
