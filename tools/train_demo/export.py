"""Writes a trained checkpoint as a GGUF file of architecture `gemma4`.

    python export.py --run out --output tales-f16.gguf [--type f16|f32]

The file is then read back and must give the trained model's logits. --reference DIR also leaves 64 tokens and their
float32 logits there, for comparison with another engine.
"""

import argparse
import os

import gguf
import numpy as np
import torch

import tokenizer as tokenizers
from data import chat_text
from model import EPS, Config, Gemma, rope_factors

# Names within a layer: the trained module's, and the file's after "blk.N.".
LAYER_TENSORS = {
    "attn_norm.weight": "attn_norm.weight",
    "attn.q.weight": "attn_q.weight",
    "attn.k.weight": "attn_k.weight",
    "attn.v.weight": "attn_v.weight",
    "attn.out.weight": "attn_output.weight",
    "attn.q_norm.weight": "attn_q_norm.weight",
    "attn.k_norm.weight": "attn_k_norm.weight",
    "post_attn_norm.weight": "post_attention_norm.weight",
    "ffn_norm.weight": "ffn_norm.weight",
    "gate.weight": "ffn_gate.weight",
    "up.weight": "ffn_up.weight",
    "down.weight": "ffn_down.weight",
    "post_ffn_norm.weight": "post_ffw_norm.weight",
    "output_scale": "layer_output_scale.weight",
}


def file_name(name):
    if name.startswith("layers."):
        _, layer, rest = name.split(".", 2)
        return f"blk.{layer}.{LAYER_TENSORS[rest]}"
    return {"embedding.weight": "token_embd.weight", "output_norm.weight": "output_norm.weight"}[name]


def add_architecture(writer, config):
    full = [config.is_full(i) for i in range(config.n_layers)]
    assert full[-1], "the last layer of a Gemma 4 model has full attention"
    for key, value in {
        "context_length": config.context, "embedding_length": config.hidden, "block_count": config.n_layers,
        "feed_forward_length": config.ffn, "attention.head_count": config.n_heads,
        "attention.key_length": config.head_dim_full, "attention.value_length": config.head_dim_full,
        "attention.key_length_swa": config.head_dim, "attention.value_length_swa": config.head_dim,
        "attention.sliding_window": config.window, "attention.shared_kv_layers": 0,
        "embedding_length_per_layer_input": 0,
        "rope.dimension_count": config.head_dim_full, "rope.dimension_count_swa": config.head_dim,
    }.items():
        writer.add_uint32(f"gemma4.{key}", value)
    for key, value in {
        "attention.layer_norm_rms_epsilon": EPS, "rope.freq_base": config.theta_full,
        "rope.freq_base_swa": config.theta, "final_logit_softcapping": config.softcap,
    }.items():
        writer.add_float32(f"gemma4.{key}", value)
    writer.add_array("gemma4.attention.head_count_kv",
                     [config.n_kv_heads_full if f else config.n_kv_heads for f in full])
    writer.add_array("gemma4.attention.sliding_window_pattern", [not f for f in full])


def add_tokenizer(writer, tokenizer):
    writer.add_tokenizer_model("gemma4")
    writer.add_token_list(tokenizer.tokens)
    writer.add_token_scores([-1000.0] * len(tokenizer.tokens))  # the form wants scores; the merges alone decide
    writer.add_token_types(tokenizer.token_types())
    writer.add_token_merges([f"{left} {right}" for left, right in tokenizer.merges])
    writer.add_bos_token_id(tokenizers.BOS)
    writer.add_eos_token_id(tokenizers.EOS)
    writer.add_eot_token_id(tokenizers.TURN_CLOSE)
    writer.add_unk_token_id(tokenizers.UNK)
    writer.add_pad_token_id(tokenizers.PAD)
    writer.add_mask_token_id(tokenizers.MASK)
    writer.add_add_bos_token(True)
    writer.add_add_space_prefix(False)
    with open(os.path.join(os.path.dirname(__file__), "chat_template.jinja")) as file:
        writer.add_chat_template(file.read().rstrip("\n"))


def write(path, config, state, tokenizer, matrix_dtype):
    writer = gguf.GGUFWriter(path, "gemma4")
    writer.add_name("Tessera Tales")
    writer.add_description("A small Gemma 4 that tells tales, trained on public-domain ones")
    writer.add_license("MIT")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16 if matrix_dtype == np.float16 else gguf.LlamaFileType.ALL_F32)
    # A model this small loops when greedy and loses the thread at temperature 1; chosen by reading its tales.
    for key, value in {"temp": 0.6, "top_p": 0.9, "penalty_repeat": 1.1}.items():
        writer.add_float32(f"general.sampling.{key}", value)
    writer.add_int32("general.sampling.top_k", 20)
    add_architecture(writer, config)
    add_tokenizer(writer, tokenizer)
    for name, tensor in state.items():
        writer.add_tensor(file_name(name), tensor.numpy().astype(matrix_dtype if tensor.ndim == 2 else np.float32))
    writer.add_tensor("rope_freqs.weight", rope_factors(config).numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def read_back(path, config):
    stored = {t.name: t.data for t in gguf.GGUFReader(path).tensors}
    model = Gemma(config).eval()
    state = {name: torch.tensor(stored[file_name(name)].astype(np.float32)) for name in model.state_dict()}
    model.load_state_dict(state)
    return model


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--run", required=True, help="the --out folder of train.py")
    parser.add_argument("--output", required=True)
    parser.add_argument("--type", choices=("f16", "f32"), default="f16")
    parser.add_argument("--reference", help="folder for ref.tokens.txt and ref.logits.f32")
    args = parser.parse_args()

    checkpoint = torch.load(f"{args.run}/best.pt", weights_only=True)
    config, tokenizer = Config(**checkpoint["config"]), tokenizers.DemoTokenizer.load(f"{args.run}/tokenizer.json")
    write(args.output, config, checkpoint["model"], tokenizer, np.float16 if args.type == "f16" else np.float32)

    trained, stored = Gemma(config).eval(), read_back(args.output, config)
    trained.load_state_dict(checkpoint["model"])
    with open(f"{args.run}/heldout.txt") as file:
        tokens = tokenizer.encode(f"<bos>{file.read(2000)}")[:64]
    with torch.no_grad():
        expected, found = trained(torch.tensor([tokens]))[0], stored(torch.tensor([tokens]))[0]
    difference = ((expected - found).norm() / expected.norm()).item()
    print(f"{args.output}: held-out loss {checkpoint['held_out_loss']:.4f}, "
          f"logits after rereading differ by {difference:.1e}")
    assert difference < 5e-3, "the file does not hold the trained model"
    if args.reference:  # of the weights as the file holds them
        with open(f"{args.reference}/ref.tokens.txt", "w") as file:
            file.write(" ".join(map(str, tokens)) + "\n")
        found.numpy().astype(np.float32).tofile(f"{args.reference}/ref.logits.f32")
    prompt = tokenizer.encode(chat_text("Tell me the tale of the fox and the golden bird"))
    told = stored.generate(prompt, 100, temperature=0.7, stop=(tokenizers.EOS, tokenizers.TURN_CLOSE))
    print(tokenizer.decode(told[len(prompt):]))


if __name__ == "__main__":
    main()
