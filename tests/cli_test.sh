#!/usr/bin/env bash
# The command line end to end, on models made here: tests/cli_test.sh path/to/tessera
# Ends with `N passed, N failed`.
set -u
tessera=$(realpath "${1:-${TESSERA:-build/release/tessera}}")
source_root=$(realpath "$(dirname "$0")/..")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
passed=0 failed=0

ok() { passed=$((passed + 1)); }
bad() {
  failed=$((failed + 1))
  echo "FAILED: $1"
  [[ -s err ]] && sed 's/^/    /' err | head -5
}
# succeeds NAME COMMAND...: exit code 0.
succeeds() {
  local name=$1
  shift
  if "$@" >out 2>err; then ok; else bad "$name: exit code $?"; fi
}
# fails CODE TEXT NAME COMMAND...: that exit code, and one line on stderr "tessera: error: ..." that contains TEXT.
fails() {
  local code=$1 text=$2 name=$3
  shift 3
  "$@" >out 2>err
  local got=$?
  if [[ $got -eq $code && $(grep -c '^tessera: error: ' err) -eq 1 ]] && grep -qF -- "$text" err; then ok
  else bad "$name: exit code $got, expected $code with '$text'"; fi
}
same() { if cmp -s "$2" "$3"; then ok; else bad "$1: $2 and $3 differ"; fi; }
# holds NAME COMMAND...: a condition.
holds() {
  local name=$1
  shift
  if "$@" >/dev/null 2>&1; then ok; else bad "$name"; fi
}
nothing_left() { [[ -z $(find . -name '*.tmp*') ]]; }

# ---- making models
succeeds "synth by dimensions" "$tessera" synth small.gguf --hidden 256 --layers 4 --heads 4 --head-dim 64 --head-dim-full 128 \
  --kv-heads 2 --kv-heads-full 1 --ffn 512 --window 32 --vocab 512 --period 3 --type q4_k_m --seed 7
succeeds "the same again" "$tessera" synth again.gguf --hidden 256 --layers 4 --heads 4 --head-dim 64 --head-dim-full 128 \
  --kv-heads 2 --kv-heads-full 1 --ffn 512 --window 32 --vocab 512 --period 3 --type q4_k_m --seed 7
same "synth is deterministic" small.gguf again.gguf
succeeds "synth in f16" "$tessera" synth wide.gguf --hidden 256 --layers 3 --heads 4 --head-dim 64 --head-dim-full 128 \
  --kv-heads 2 --kv-heads-full 1 --ffn 512 --window 32 --vocab 512 --period 3 --type f16
for type in q4_k_m q5_k_m q6_k q8_0 q4_0 bf16 f32; do
  succeeds "quantize to $type" "$tessera" quantize wide.gguf "wide-$type.gguf" --type "$type"
  succeeds "run $type" "$tessera" run "wide-$type.gguf" -p 'a' -n 4 --raw --temperature 0
done
fails 1 "--allow-requantize" "quantizing twice needs consent" "$tessera" quantize small.gguf twice.gguf --type q6_k
succeeds "with consent" "$tessera" quantize small.gguf twice.gguf --type q6_k --allow-requantize
fails 1 "gemma5" "an unknown shape" "$tessera" synth x.gguf --shape gemma5
fails 1 "q9" "an unknown type" "$tessera" quantize wide.gguf x.gguf --type q9

# ---- exporting and running
for dtype in f32 bf16; do
  succeeds "export $dtype" "$tessera" export small.gguf -o "small-$dtype.pte" --dtype "$dtype"
  succeeds "export $dtype again" "$tessera" export small.gguf -o again.pte --dtype "$dtype"
  same "export is deterministic" "small-$dtype.pte" again.pte
  "$tessera" run small.gguf --dtype "$dtype" -p 'Hello there' -n 24 --seed 3 --raw --ignore-stop >gguf.txt 2>err || bad "run gguf"
  "$tessera" run "small-$dtype.pte" -p 'Hello there' -n 24 --seed 3 --raw --ignore-stop >pte.txt 2>err || bad "run pte"
  same "the same seed gives the same text from .gguf and .pte ($dtype)" gguf.txt pte.txt
  "$tessera" run small.gguf --dtype "$dtype" -p 'Hello there' -n 24 --seed 3 --raw --ignore-stop --threads 1 >one.txt 2>err || bad "run"
  same "one thread gives the same text ($dtype)" gguf.txt one.txt
done
succeeds "export --external" "$tessera" export small.gguf -o external.pte --dtype f32 --external
holds "an external program is small" test "$(stat -c %s external.pte)" -lt $(($(stat -c %s small.gguf) / 2))
"$tessera" run external.pte -p 'Hello there' -n 24 --seed 3 --raw --ignore-stop >external.txt 2>err || bad "run external"
"$tessera" run small-f32.pte -p 'Hello there' -n 24 --seed 3 --raw --ignore-stop >pte.txt 2>err
same "an external program gives the same text" external.txt pte.txt
mkdir moved && cp external.pte moved/
fails 1 "small.gguf" "an external program without its weights" "$tessera" run moved/external.pte -p a -n 1
cp again.gguf moved/small.gguf && printf 'x' >>moved/small.gguf
fails 1 "small.gguf" "an external program with other weights" "$tessera" run moved/external.pte -p a -n 1

succeeds "export into a folder" "$tessera" export small.gguf -o folder/ --ptd
holds "model.pte, model.ptd and tokenizer.json" test -s folder/model.pte -a -s folder/model.ptd -a -s folder/tokenizer.json
holds "tokenizer.json is json" python3 -m json.tool folder/tokenizer.json
"$tessera" run folder/model.pte -p 'Hello there' -n 24 --seed 3 --raw --ignore-stop >ptd.txt 2>err || bad "run with weights beside"
"$tessera" run small-bf16.pte -p 'Hello there' -n 24 --seed 3 --raw --ignore-stop >pte.txt 2>err
same "weights beside the program give the same text" ptd.txt pte.txt
succeeds "logits with weights beside" "$tessera" logits folder/model.pte --tokens "2 10 20" -o a.f32
succeeds "inspect with weights beside" "$tessera" inspect folder/model.pte
mv folder/model.ptd weights.bin
fails 1 "model.ptd" "weights that are not there" "$tessera" run folder/model.pte -p a -n 1
succeeds "weights named" "$tessera" run folder/model.pte --ptd weights.bin -p a -n 1 --raw
succeeds "export --lowering mlx" "$tessera" export small.gguf -o mlx.pte --dtype f32 --lowering mlx
"$tessera" logits small-f32.pte --tokens "2 10 20 30" --exact -o a.f32 2>err || bad "logits"
"$tessera" logits mlx.pte --tokens "2 10 20 30" --exact -o b.f32 2>err || bad "logits of affine groups"
holds "affine groups give the logits of their blocks" python3 -c "
import array; a, b = (array.array('f', open(f, 'rb').read()) for f in ('a.f32', 'b.f32'))
assert len(a) == len(b) > 0 and max(abs(x - y) for x, y in zip(a, b)) < 1e-3 * max(map(abs, a))"
succeeds "a model with a format ExecuTorch lacks" "$tessera" quantize wide.gguf q80.gguf --type q8_0
succeeds "q8_0 becomes affine groups" "$tessera" export q80.gguf -o q80.pte
holds "without a kernel of ours" test "$("$tessera" inspect q80.pte | grep -c gguf_q8_0)" -eq 0
succeeds "--strict takes what can be expressed" "$tessera" export q80.gguf -o q80.pte --strict
succeeds "--keep-packed" "$tessera" export q80.gguf -o q80.pte --keep-packed
holds "with a kernel of ours" test "$("$tessera" inspect q80.pte | grep -c gguf_q8_0_matvec)" -gt 0
succeeds "export --with-sampling" "$tessera" export small.gguf -o sampling.pte --with-sampling
holds "says so" grep -q 'use_sampling = true' <("$tessera" inspect sampling.pte)
succeeds "the same program without" "$tessera" export small.gguf -o plain.pte
"$tessera" run plain.pte -p 'a b' -n 12 --ignore-stop --temperature 0 >plain.txt 2>err
"$tessera" run sampling.pte -p 'a b' -n 12 --ignore-stop --temperature 0 >greedy.txt 2>err
same "greedy inside is greedy outside" plain.txt greedy.txt
for seed in 1 1 2; do
  "$tessera" run sampling.pte -p 'a b' -n 12 --ignore-stop --temperature 2 --top-k 0 --seed $seed >>seeds.txt 2>err
done
holds "a seed is a text" test "$(sort seeds.txt | uniq | wc -l)" -eq 2
succeeds "chat with sampling inside" "$tessera" chat sampling.pte -n 2 < <(echo hi)
succeeds "bench with sampling inside" "$tessera" bench sampling.pte -p 4 -n 4 --repeat 1
tales=$source_root/models/tales-q4_k_m.gguf  # suggests a repetition penalty
succeeds "export of a model with suggestions" "$tessera" export "$tales" -o tales.pte --with-sampling
succeeds "a suggestion that cannot be followed" "$tessera" run tales.pte -p Once -n 3
holds "is left out with a warning" grep -q "warning: the model suggests a repetition penalty" err
fails 1 "min-p" "what the sampler inside does not know" "$tessera" run sampling.pte -p a -n 1 --min-p 0.1
fails 1 "repetition penalty" "nor that" "$tessera" run sampling.pte -p a -n 1 --repetition-penalty 1.1
fails 1 "tokens only" "a program without logits" "$tessera" logits sampling.pte --tokens '2 3' -o x.f32
fails 1 "--external" "affine groups that no file holds" "$tessera" export small.gguf -o x.pte --external --lowering mlx
fails 2 "lowering" "an unknown lowering" "$tessera" export small.gguf -o x.pte --lowering tvm

# ---- compressed caches
succeeds "export --turboquant" "$tessera" export small.gguf -o tq.pte --dtype f32 --turboquant
succeeds "export --turboquant again" "$tessera" export small.gguf -o tq-again.pte --dtype f32 --turboquant
same "compressed caches are deterministic" tq.pte tq-again.pte
succeeds "its logits" "$tessera" logits tq.pte --tokens "2 10 20 30 40 50 60 70" -o tq.f32
succeeds "and those of the gguf" "$tessera" logits small.gguf --kv-dtype f32 --turboquant --tokens "2 10 20 30 40 50 60 70" --chunk 3 -o tq-gguf.f32
same "a .pte with compressed caches gives the logits of the .gguf" tq.f32 tq-gguf.f32
succeeds "logits without" "$tessera" logits small.gguf --kv-dtype f32 --tokens "2 10 20 30 40 50 60 70" -o plain.f32
holds "compression loses something, and little" python3 -c "
import array; a, b = (array.array('f', open(f, 'rb').read()) for f in ('tq.f32', 'plain.f32'))
dot = lambda x, y: sum(p * q for p, q in zip(x, y))
assert 0.98 < dot(a, b) / (dot(a, a) * dot(b, b)) ** 0.5 < 0.999999"
succeeds "run with compressed caches" "$tessera" run tq.pte -p 'Hello there' -n 8 --raw --ignore-stop --temperature 0
succeeds "bench with compressed caches" "$tessera" bench small.gguf --turboquant -p 16 -n 4 --repeat 1
succeeds "verify with compressed caches" "$tessera" verify tq.pte
holds "their kernels were run" grep -qE '^tq_dequant +4 ' out
holds "the caches are codes" grep -q 'mutable u8\[1, 1, 4096, 64\] blk.2.k_cache' <("$tessera" inspect tq.pte --instructions)
fails 1 "--turboquant are fixed" "a program has its caches" "$tessera" run tq.pte --turboquant -p a -n 1
succeeds "synth with odd heads" "$tessera" synth odd.gguf --hidden 256 --layers 2 --heads 2 --head-dim 64 --head-dim-full 96 --kv-heads 1 \
  --kv-heads-full 1 --ffn 256 --window 16 --vocab 512 --period 2 --type q4_k_m
fails 1 "head_dim 96" "a head size without a rotation" "$tessera" export odd.gguf -o x.pte --turboquant

# ---- a Hugging Face folder, quantized on the way
python3 - <<'PYTHON'
import json, os, random, struct
random.seed(5)
H, V, F, heads, window, layers = 64, 300, 96, 2, 8, 2
def bf16(values):
    return b"".join(struct.pack("<f", v)[2:] for v in values)
tensors = {}
def matrix(name, n, k): tensors[name] = ([n, k], bf16(random.gauss(0, k ** -0.5) for _ in range(n * k)))
def vector(name, n, value=1.0): tensors[name] = ([n], bf16([value] * n))
matrix("embed_tokens.weight", V, H)
vector("norm.weight", H)
for i in range(layers):
    full, p = i == 1, f"layers.{i}."
    dim, kv = (64, 1) if full else (32, 2)
    for name, n, k in [("q", heads * dim, H), ("k", kv * dim, H), ("v", kv * dim, H), ("o", H, heads * dim)]:
        if not (full and name == "v"): matrix(p + f"self_attn.{name}_proj.weight", n, k)
    for name in ("q", "k"): vector(p + f"self_attn.{name}_norm.weight", dim)
    for name in ("input", "post_attention", "pre_feedforward", "post_feedforward"): vector(p + name + "_layernorm.weight", H)
    for name, n, k in [("gate", F, H), ("up", F, H), ("down", H, F)]: matrix(p + f"mlp.{name}_proj.weight", n, k)
    vector(p + "layer_scalar", 1, 0.5)
header, data = {}, b""
for name, (shape, raw) in tensors.items():
    header["model.language_model." + name] = {"dtype": "BF16", "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
    data += raw
os.mkdir("hf")
text = json.dumps(header).encode()
open("hf/model.safetensors", "wb").write(struct.pack("<Q", len(text)) + text + data)
config = {"model_type": "gemma4_text", "num_hidden_layers": layers, "hidden_size": H, "intermediate_size": F,
          "num_attention_heads": heads, "num_key_value_heads": 2, "num_global_key_value_heads": 1, "head_dim": 32,
          "global_head_dim": 64, "attention_k_eq_v": True, "layer_types": ["sliding_attention", "full_attention"],
          "sliding_window": window, "max_position_embeddings": 128, "rms_norm_eps": 1e-6, "final_logit_softcapping": 30.0,
          "rope_parameters": {"full_attention": {"rope_theta": 1e6, "rope_type": "proportional", "partial_rotary_factor": 0.25},
                              "sliding_attention": {"rope_theta": 1e4, "rope_type": "default"}}}
json.dump(config, open("hf/config.json", "w"))
specials = ["<pad>", "<eos>", "<bos>", "<unk>", "<|turn>", "<turn|>"]
words = specials + [f"<0x{i:02X}>" for i in range(256)] + ["\u2581", "a", "b", "ab"]
words += [f"<unused{i}>" for i in range(V - len(words))]
json.dump({"added_tokens": [{"id": i, "content": t, "special": True} for i, t in enumerate(specials)],
           "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"},
           "model": {"type": "BPE", "byte_fallback": True, "vocab": {t: i for i, t in enumerate(words)}, "merges": [["a", "b"]]}},
          open("hf/tokenizer.json", "w"))
PYTHON
for recipe in none default sensitive; do
  succeeds "export a folder ($recipe)" "$tessera" export hf -o "hf-$recipe/" --recipe "$recipe" --dtype f32
  same "the tokenizer is copied ($recipe)" hf/tokenizer.json "hf-$recipe/tokenizer.json"
  succeeds "run it ($recipe)" "$tessera" run "hf-$recipe/model.pte" -p 'ab ab' -n 4 --raw --ignore-stop --temperature 0
  succeeds "its logits ($recipe)" "$tessera" logits "hf-$recipe/model.pte" --tokens "2 262 263 265 40" -o "hf-$recipe.f32"
done
holds "its tokenizer works" test "$("$tessera" tokenize hf-none/model.pte -p 'ab ab')" = "265 262 265"
"$tessera" run hf-none/model.pte -p 'ab b' -n 4 --raw --ignore-stop --temperature 0 >own.txt 2>err || bad "run with the tokenizer inside"
"$tessera" run hf-none/model.pte -p 'ab b' -n 4 --raw --ignore-stop --temperature 0 --tokenizer hf/tokenizer.json >given.txt 2>err || bad "run with a tokenizer.json"
same "the tokenizer inside and the one given are the same" own.txt given.txt
holds "quantized is smaller" test "$(stat -c %s hf-default/model.pte)" -lt "$(stat -c %s hf-none/model.pte)"
holds "recipes differ" test "$(cmp -s hf-default.f32 hf-sensitive.f32; echo $?)" -eq 1
holds "and stay near the plain weights" python3 -c "
import struct
read = lambda n: struct.unpack('<1500f', open(n, 'rb').read())
plain = read('hf-none.f32')
for name in ('hf-default.f32', 'hf-sensitive.f32'):
    error = sum((a - b) ** 2 for a, b in zip(read(name), plain)) / sum(b * b for b in plain)
    assert 0 < error < 0.5, (name, error)  # random weights and unscaled attention are the worst case for 4 bits"
succeeds "twice the same bytes" "$tessera" export hf -o hf-again.pte --recipe sensitive --dtype f32
same "exporting a folder is deterministic" hf-again.pte hf-sensitive/model.pte
cp -r hf hf-bad && head -c 20000 hf/model.safetensors >hf-bad/model.safetensors
fails 1 "hf-bad/model.safetensors" "a truncated safetensors file" "$tessera" export hf-bad -o x.pte
rm hf-bad/model.safetensors
fails 1 "neither model.safetensors nor" "a folder without weights" "$tessera" export hf-bad -o x.pte
fails 1 "makes a program of a checkpoint" "running a folder" "$tessera" run hf -p a
fails 1 "recipe 'best'" "an unknown recipe" "$tessera" export hf -o x.pte --recipe best
fails 1 "only the weights of a GGUF" "a folder cannot stay outside" "$tessera" export hf -o x.pte --external

# ---- logits, tokens, perplexity
tokens="2 10 20 30 40 50 60 70"
succeeds "logits of the gguf" "$tessera" logits small.gguf --dtype f32 --tokens "$tokens" -o a.f32
succeeds "logits of the pte" "$tessera" logits small-f32.pte --tokens "$tokens" -o b.f32
succeeds "logits in pieces" "$tessera" logits small.gguf --dtype f32 --tokens "$tokens" --chunk 3 --threads 1 -o c.f32
holds "float32 [n_tokens][vocab]" test "$(stat -c %s a.f32)" -eq $((8 * 512 * 4))
same "logits of gguf and pte" a.f32 b.f32
same "logits whatever the chunk and threads" a.f32 c.f32
succeeds "exact logits" "$tessera" logits small.gguf --tokens "$tokens" --exact -o exact.f32
holds "exact differs from int8" test "$(cmp -s a.f32 exact.f32; echo $?)" -eq 1
ids=$("$tessera" tokenize small.gguf -p 'abc abc')
holds "ids are printed" test -n "$ids"
holds "and come back" test "$("$tessera" tokenize small.gguf --ids "$ids")" = 'abc abc'
holds "the program carries the tokenizer" test "$("$tessera" tokenize small-f32.pte -p 'abc abc')" = "$ids"
holds "--special adds bos" test "$("$tessera" tokenize small.gguf --special -p 'abc abc')" = "2 $ids"
seq 1 200 >text.txt
succeeds "perplexity" "$tessera" perplexity small.gguf text.txt --window 64
holds "is a number" grep -qE '^perplexity [0-9.]+ ' out
echo 'ab ab b a ab' >ab.txt
succeeds "perplexity with the tokenizer inside" "$tessera" perplexity hf-none/model.pte ab.txt
mv out inside.txt
succeeds "perplexity with a tokenizer.json" "$tessera" perplexity hf-none/model.pte ab.txt --tokenizer hf/tokenizer.json
same "is the same" inside.txt out
fails 1 "no-such.json" "perplexity with a tokenizer.json that is not there" "$tessera" perplexity hf-none/model.pte ab.txt --tokenizer no-such.json
holds "tokenize with another tokenizer" test "$("$tessera" tokenize small.gguf --tokenizer hf/tokenizer.json -p 'ab ab')" = "265 262 265"
printf 'Hello\nand again\n/reset\nHello\n/quit\n' >turns.txt
"$tessera" chat small.gguf -n 6 --temperature 0 <turns.txt >chat.txt 2>err && ok || bad "chat"
{ head -c 4000 /dev/zero | tr '\0' x; printf '\nHello\n'; } >long.txt
"$tessera" chat small.gguf -n 4 --temperature 0 --context 64 <long.txt >long-chat.txt 2>err && ok || bad "chat with an overlong line"
holds "which is named" grep -q '^tessera: error: generate: the prompt has .*(this turn is forgotten' err
echo Hello | "$tessera" chat small.gguf -n 4 --temperature 0 --context 64 >short-chat.txt 2>err
same "and forgotten" long-chat.txt short-chat.txt
# Both put bos in front of a text without a template.
sed 's/tokenizer.chat_template/tokenizer.chat_templatX/' small.gguf >plain.gguf
echo Once | "$tessera" chat plain.gguf -n 8 --temperature 0 >chat.txt 2>err || bad "chat without a template"
"$tessera" run plain.gguf -p Once -n 8 --temperature 0 >run.txt 2>err || bad "run without a template"
same "the first turn of a chat without a template is a run" chat.txt run.txt

# ---- exec: the golden program of another writer, y = x + bias with x (1..8, 4)
python3 - "$source_root/src/program/golden_testing.h" <<'PYTHON'
import re, struct, sys
text = open(sys.argv[1]).read()
for name, file in [("tiny_pte", "tiny.pte"), ("tiny_ptd", "tiny.ptd")]:
    body = text[text.index(name + "() {"):]
    open(file, "wb").write(bytes.fromhex("".join(re.findall(r'"([0-9a-f]+)"', body[:body.index("}")]))))
def npy(file, descr, shape, data):
    head = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}"
    head += " " * (-(len(head) + 11) % 64) + "\n"
    open(file, "wb").write(b"\x93NUMPY\1\0" + struct.pack("<H", len(head)) + head.encode() + data)
npy("x.npy", "<f4", (2, 4), struct.pack("<8f", *range(8)))
npy("x64.npy", "<f8", (2, 4), struct.pack("<8d", *range(8)))
npy("wide.npy", "<f4", (9, 4), struct.pack("<36f", *range(36)))
npy("sum.npy", "<f4", (2, 4), struct.pack("<8f", 10, 21, 32, 43, 14, 25, 36, 47))
npy("sum-ptd.npy", "<f4", (2, 4), struct.pack("<8f", 1, 3, 5, 7, 5, 7, 9, 11))
PYTHON
succeeds "exec" "$tessera" exec tiny.pte --input x.npy --output y.npy
same "exec gives the documented result" y.npy sum.npy
holds "and prints it" grep -qxF 'out: f32 [2, 4] 10 21 32 43 14 25 36 47' out
succeeds "exec with a data file" "$tessera" exec tiny.pte --method forward --data tiny.ptd --input x=x.npy --output out=z.npy
same "a data file overrides the bias" z.npy sum-ptd.npy
fails 1 'input "x" must be f32, found f64 [2, 4]' "exec on another dtype" "$tessera" exec tiny.pte --input x64.npy --output x.f32
fails 1 "found f32 [9, 4], declared at most [8, 4]" "exec past the bound" "$tessera" exec tiny.pte --input wide.npy --output x.f32
fails 1 'input 0 "x" is not given' "exec without inputs" "$tessera" exec tiny.pte
fails 1 'no input "w"; the program has x' "exec on an unknown name" "$tessera" exec tiny.pte --input w=x.npy
fails 1 "the program has 1: x" "exec with too many inputs" "$tessera" exec tiny.pte --input x.npy x.npy
fails 1 "tiny.pte: not a NumPy array" "exec on another file" "$tessera" exec tiny.pte --input tiny.pte
fails 1 'no method "backward"' "exec of an unknown method" "$tessera" exec tiny.pte --method backward --input x.npy
fails 1 "no/such" "exec into a folder that is not there" "$tessera" exec tiny.pte --input x.npy --output no/such/y.npy

# ---- inspect, bench
succeeds "inspect gguf" "$tessera" inspect small.gguf
holds "names the architecture" grep -q gemma4 out
succeeds "inspect gguf as json" "$tessera" inspect small.gguf --json
holds "is json" python3 -m json.tool out
succeeds "inspect pte" "$tessera" inspect small-bf16.pte
holds "lists kernels with their texts" grep -qE 'gguf_q4k_matvec .* source [0-9]+ bytes [0-9a-f]{16}, header [0-9]+ bytes [0-9a-f]{16}$' out
holds "shows the header" grep -q '^header: 32 bytes' out
holds "shows what If chooses between" grep -qE ' x if \$[0-9]+ \? gguf_q4k_matmul : gguf_q4k_matvec' out
succeeds "inspect everything" "$tessera" inspect small-bf16.pte --tensors --chains
holds "lists the targets of every If" grep -qE '^  0\.[0-9]+: \$[0-9]+ \? [0-9]+ : [0-9]+' out
holds "lists slots" grep -qE '^  %[0-9]+ +mutable +bf16\[1, 2, 287, 64\] +blk.0.k_cache' out
succeeds "inspect pte as json" "$tessera" inspect small-bf16.pte --json
holds "is json" python3 -m json.tool out
holds "with everything in it" python3 -c "
import json; p = json.load(open('out'))
assert all(p[key] for key in ('header', 'segments', 'plans', 'constant_methods', 'chains', 'branches', 'kernels', 'slots', 'data', 'graph'))"
succeeds "verify" "$tessera" verify small-bf16.pte
holds "names a kernel and its error" grep -qE '^gguf_q4k_matmul .* [0-9.]+%$' out
succeeds "verify as json" "$tessera" verify small-f32.pte --json --seed 5
holds "every kernel is right" python3 -c "
import json; kernels = json.load(open('out'))['kernels']
assert len(kernels) > 5 and all(k['ok'] and k['values'] > 0 and k['error_of_bound'] <= 1 for k in kernels)
assert {k['name'] for k in kernels} >= {'gguf_q4k_matvec', 'gguf_q4k_matmul', 'gguf_q6k_embedding'}"
# One letter of a comment in the kernels' text: it still computes the same, but it is not what this build can emulate.
sed 's/blocks of 256 values, read where they lie/blocks of 256 values, read where they LIE/' small-bf16.pte >other.pte
fails 1 "its header has hash " "verify a program with other kernels" "$tessera" verify other.pte
holds "both hashes and the kernel are named" grep -qE 'kernel gguf_q[46]k_[a-z]+: its header has hash [0-9a-f]{16}, this build embeds [0-9a-f]{16}' err
succeeds "which runs all the same" "$tessera" run other.pte -p a -n 1 --raw
sed 's/threadgroup_position_in_grid, simdgroup_index_in_threadgroup,$/threadgroup_position_in_grid, simdgroup_index_in_threadGroup,/' small-bf16.pte >other.pte
fails 1 "gguf_q6k_matvec: its source has hash " "verify a program with another body" "$tessera" verify other.pte
"$tessera" quantize wide.gguf q8.gguf --type q8_0 >/dev/null 2>&1 && "$tessera" export q8.gguf -o q8.pte --keep-packed 2>/dev/null
fails 1 "gguf_q8_0_" "verify a program whose format has no Metal kernels" "$tessera" verify q8.pte
fails 1 "missing.pte" "verify a missing file" "$tessera" verify missing.pte
# Names are bytes, JSON is UTF-8.
cp small.gguf $'caf\xe9.gguf' && cp small-bf16.pte $'caf\xe9.pte'
succeeds "bench of a name in Latin-1" "$tessera" bench $'caf\xe9.gguf' --json -p 4 -n 2 --repeat 1
holds "is json" python3 -m json.tool out
succeeds "verify of a name in Latin-1" "$tessera" verify $'caf\xe9.pte' --json
holds "is json" python3 -m json.tool out
succeeds "bench" "$tessera" bench small.gguf --json -p 32 -n 8
holds "has the promised fields" python3 -c "
import json; r = json.load(open('out'))
for a, b in [('limits', 'read_gb_s'), ('limits', 'int8_gop_s'), ('decode', 'tok_s'), ('decode', 'bytes_per_token'),
             ('decode', 'fraction_of_read'), ('prefill', 'tok_s'), ('prefill', 'ops_per_token'), ('prefill', 'fraction_of_peak')]:
    assert r[a][b] > 0, (a, b)
assert r['load_s'] > 0 and r['peak_rss_bytes'] > 0"

# ---- what goes wrong is said in one line, and leaves nothing behind
fails 2 "" "no command" "$tessera"
fails 2 "--frobnicate" "an unknown option" "$tessera" run small.gguf --frobnicate
fails 1 "missing.gguf" "a missing file" "$tessera" run missing.gguf -p a
fails 1 "text.txt" "a file of another kind" "$tessera" run text.txt -p a
head -c 3000 small.gguf >cut.gguf
fails 1 "cut.gguf" "a truncated gguf" "$tessera" run cut.gguf -p a
head -c 100000 small-f32.pte >cut.pte
fails 1 "cut.pte" "a truncated pte" "$tessera" run cut.pte -p a
for device in frobs cuda: cuda:x cuda:-1; do
  fails 1 "expected cpu, cuda or cuda:N" "an unknown device" "$tessera" run small.gguf --device "$device" -p a
done

# ---- a GPU: the program alone, with a library that is none, and with the real one where it was built
mkdir gpu && cp "$tessera" gpu/tessera
if ! ldconfig -p 2>/dev/null | grep -q libtessera_cuda; then
  fails 1 "libtessera_cuda.so" "no CUDA library" env -u LD_LIBRARY_PATH gpu/tessera run small.gguf --device cuda -p a
fi
printf 'no library' >gpu/libtessera_cuda.so
fails 1 "libtessera_cuda.so" "a CUDA library that is none: run" gpu/tessera run small.gguf --device cuda:0 -p a
fails 1 "libtessera_cuda.so" "a CUDA library that is none: bench" gpu/tessera bench small.gguf --device cuda:0
fails 1 "libtessera_cuda.so" "a CUDA library that is none: logits" gpu/tessera logits small.gguf --device cuda --tokens 1 -o x.f32
fails 1 "libtessera_cuda.so" "a CUDA library that is none: perplexity" gpu/tessera perplexity small.gguf err --device cuda
library=$(find "$(dirname "$tessera")"/../*/libtessera_cuda.so 2>/dev/null | head -1)
if [[ -n "$library" ]]; then
  cp "$library" gpu/
  if nvidia-smi >/dev/null 2>&1; then
    succeeds "run on the GPU" gpu/tessera run small.gguf --device cuda -p a -n 4 --raw --temperature 0
    fails 1 "the last one is cuda:" "a GPU that is not there" gpu/tessera run small.gguf --device cuda:99 -p a
  else
    fails 1 "no NVIDIA" "no driver, or no GPU" gpu/tessera run small.gguf --device cuda -p a
  fi
fi
fails 1 "f31" "an unknown dtype" "$tessera" export small.gguf -o x.pte --dtype f31
fails 1 "no/such" "an output folder that is not there" "$tessera" export small.gguf -o no/such/x.pte
fails 1 "600" "a token outside the vocabulary" "$tessera" logits small.gguf --tokens "1 600" -o x.f32
fails 1 "two" "tokens that are none" "$tessera" logits small.gguf --tokens "1 two" -o x.f32
fails 1 "temperature" "a temperature below zero" "$tessera" run small.gguf -p a --temperature -2
if [[ -w /dev/full ]]; then
  for command in "run small.gguf -p a -n 2 --raw --ignore-stop" "tokenize small.gguf -p a" "inspect small.gguf" "--help"; do
    "$tessera" $command >/dev/full 2>err  # shellcheck disable=SC2086
    code=$?
    holds "a full disk ends '$command'" test $code -eq 1
    holds "in one line" grep -q '^tessera: error: ' err
  done
  "$tessera" tokenize small.gguf -p a >/dev/full 2>err
  holds "that says where" grep -qx 'tessera: error: cannot write to standard output' err
fi
"$tessera" inspect small-bf16.pte --instructions 2>err | head -n 1 >out
holds "a reader that has enough is no error" test ! -s err
fails 1 "the prompt is empty; give one with -p" "no prompt" "$tessera" run small.gguf
fails 2 "excludes" "two prompts" "$tessera" run small.gguf -p a --prompt-file text.txt
fails 1 "--raw uses none" "a system message without a template" "$tessera" run small.gguf -p a --raw --system b
fails 1 "--raw uses none" "thinking without a template" "$tessera" run small.gguf -p a --raw --thinking
fails 1 "the model has none" "a model without a template" "$tessera" run hf-none/model.pte -p a --system b
fails 1 "the model has none" "thinking in such a chat" "$tessera" chat hf-none/model.pte --thinking
for option in "--context" "-p" "-n"; do
  fails 2 "not in range" "more tokens than there can be: $option" "$tessera" bench small.gguf "$option" 9000000000000000000
done
for command in "run small.gguf -p a" "exec tiny.pte" "verify small-bf16.pte" "quantize wide.gguf x.gguf --type q8_0" "synth x.gguf"; do
  fails 2 "--threads" "more threads than there can be: $command" "$tessera" $command --threads 1025  # shellcheck disable=SC2086
done
holds "no output of a failed command" test ! -e x.pte -a ! -e x.gguf -a ! -e x.f32
holds "no temporary files" nothing_left

echo "$passed passed, $failed failed"
[[ $failed -eq 0 ]]
