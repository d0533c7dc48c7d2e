// What lowering promises about the programs it makes; that they compute the right numbers is
// tests/compile_run_test.cpp.
#include "compile/lower.h"

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <set>

#include "compile/compile.h"
#include "compile/passes.h"
#include "graph/text.h"
#include "kernels/metal/source.h"
#include "models/gemma4_testing.h"
#include "models/model.h"
#include "program/def_use.h"
#include "program/graph_codec.h"
#include "program/hints.h"
#include "program/printer.h"
#include "test_util.h"

namespace tessera::compile {
namespace {

using program::MetalKernel;
using program::Program;
using testing::Gemma4File;
using testing::Gemma4Shape;

Program compile_file(const Gemma4File& file, const CompileOptions& options = {}) {
  const auto opened = file.open();
  EXPECT_TRUE(opened) << opened.error().message;
  auto program = compile_gguf(*opened, options);
  EXPECT_TRUE(program) << program.error().message;
  const Status verified = program::verify(*program);
  EXPECT_TRUE(verified) << verified.error().message;
  return std::move(*program);
}

// Instructions of every chain by name; MetalKernels by the kernel's name.
std::map<std::string, int> count_nodes(const Program& program) {
  std::map<std::string, int> counts;
  for (const auto& chain : program.chains)
    for (const auto& node : chain) {
      const auto* kernel = std::get_if<MetalKernel>(&node);
      ++counts[kernel ? kernel->name.str() : std::string(program::name_of(node))];
    }
  return counts;
}

std::vector<const MetalKernel*> kernels(const Program& program, std::string_view name) {
  std::vector<const MetalKernel*> out;
  for (const auto& chain : program.chains)
    for (const auto& node : chain)
      if (const auto* kernel = std::get_if<MetalKernel>(&node); kernel && kernel->name == name) out.push_back(kernel);
  return out;
}

program::Hints hints(const Program& program) {
  const auto* data = program.find_data(program::kHintsKey);
  EXPECT_NE(data, nullptr);
  auto out = program::decode_hints(data->bytes);
  EXPECT_TRUE(out) << out.error().message;
  return *out;
}

TEST(Lower, ASlidingAndAFullLayer) {
  const CompileOptions options{.dtype = DType::kBF16, .max_seq_len = 128, .prefill_chunk = 8};
  testing::expect_golden("src/compile/golden/gemma4.txt", program::to_text(compile_file(Gemma4File{}, options)));
}

TEST(Lower, The31BShape) {
  const Gemma4File file(testing::kGemma4_31B);
  const auto opened = *file.open();
  const auto begin = std::chrono::steady_clock::now();
  const auto result = compile_gguf(opened, {});
  const auto time = std::chrono::steady_clock::now() - begin;
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_LT(time, std::chrono::seconds(1));
  const Program& program = *result;
  EXPECT_TRUE(program::verify(program)) << program::verify(program).error().message;

  auto counts = count_nodes(program);
  EXPECT_EQ(counts["RMSNorm"], 421);
  EXPECT_EQ(counts["Sdpa"], 60);
  EXPECT_EQ(counts["If"], 410);
  EXPECT_EQ(counts["gguf_q4k_matvec"], 410);
  EXPECT_EQ(counts["gguf_q4k_matmul"], 410);
  EXPECT_EQ(counts["gguf_q6k_matvec"], 1);  // the head: one row, known
  EXPECT_EQ(counts["gguf_q6k_matmul"], 0);
  EXPECT_EQ(counts["gguf_q6k_embedding"], 1);
  EXPECT_EQ(counts["AsType"], 1);   // logits to f32
  EXPECT_EQ(counts["ARange"], 4);   // one mask
  EXPECT_EQ(counts["ItemInt"], 1);  // one position
  EXPECT_LE(program.n_temps, 16u);
  EXPECT_EQ(program.n_mutable, 120u);
  EXPECT_EQ(hints(program).attention.size(), 60u);

  // ExecuTorch's exporter: 1.23 MiB, then 0.47 with shared strings. Without weights the program is this and little
  // more.
  EXPECT_LT(program::encode_payload(program).size(), (uint64_t{40} << 20) / 100);

  // executorch-pte, "Exported interface" and "State".
  EXPECT_EQ(program.inputs,
            (std::vector<program::IoTensor>{{DType::kI64, {1, 256}, true}, {DType::kI64, {256}, true}}));
  EXPECT_EQ(program.outputs, (std::vector<program::IoTensor>{{DType::kF32, {1, 262144}, false}}));
  EXPECT_EQ(program.int_constant("get_max_seq_len"), 4096);
  EXPECT_EQ(program.int_constant("get_vocab_size"), 262144);
  EXPECT_EQ(program.int_constant("get_n_layers"), 60);
  EXPECT_EQ(program.int_constant("get_max_prefill_chunk"), 256);
  EXPECT_EQ(program.constant_methods.at("use_sampling"), std::vector<program::ConstantValue>{false});
  const auto cache_slots = [&](std::string_view name) {
    for (const auto& named : program.named_slots)
      if (named.name == name) return program.tensor_meta[named.slot.idx].shape[2].value;
    return -1;
  };
  EXPECT_EQ(cache_slots("blk.0.k_cache"), 1279);
  EXPECT_EQ(cache_slots("blk.5.v_cache"), 4096);
}

TEST(Lower, KernelsAreCalledAsExecuTorchCallsThem) {
  Gemma4File file;
  file.tensor("blk.0.attn_k.weight").format = quant::find_format("Q5_K");
  file.tensor("blk.0.attn_v.weight").format = quant::find_format("Q6_K");
  file.tensor("blk.0.attn_output.weight").format = quant::find_format("Q8_0");
  const Program program = compile_file(file, {.dtype = DType::kBF16});
  const auto names = [](const MetalKernel& kernel) {
    std::string out;
    for (size_t i = 0; i < kernel.template_arg_names.size(); ++i)
      out += fmt::format("{}:{}={} ", kernel.template_arg_names[i].view(), kernel.template_arg_kinds[i],
                         kernel.template_arg_values[i]);
    return out;
  };
  constexpr int64_t kBF16 = 15;
  static_assert(static_cast<int64_t>(DType::kBF16) == kBF16);

  const MetalKernel& q4k = *kernels(program, "gguf_q4k_matvec")[0];  // attn_q: 256 x 256
  EXPECT_EQ(names(q4k), "InT:2=15 OutT:2=15 N:0=256 K:0=256 NSG:0=2 ");
  EXPECT_EQ(q4k.grid[0], program::IntOrVid(256 / 4 * 64));
  EXPECT_EQ(q4k.threadgroup, (program::RequiredVector<program::IntOrVid>{64, 1, 1}));
  EXPECT_EQ(q4k.output_dtypes, std::vector<DType>{DType::kBF16});
  EXPECT_EQ(q4k.output_shape_lengths, std::vector<int32_t>{3});
  EXPECT_EQ(q4k.output_shapes_flat[2], program::IntOrVid(256));

  const MetalKernel& q5k = *kernels(program, "gguf_q5k_matvec")[0];  // 128 x 256, one row a SIMD group
  EXPECT_EQ(q5k.grid[0], program::IntOrVid(128 / 2 * 64));
  EXPECT_EQ(names(q5k), "InT:2=15 OutT:2=15 N:0=128 K:0=256 NSG:0=2 ");

  const MetalKernel& q6k = *kernels(program, "gguf_q6k_matmul")[0];
  EXPECT_EQ(names(q6k), "InT:2=15 N:0=128 K:0=256 ");
  EXPECT_EQ(q6k.grid[1], program::IntOrVid(2));
  EXPECT_EQ(q6k.threadgroup, (program::RequiredVector<program::IntOrVid>{128, 1, 1}));
  EXPECT_EQ(names(*kernels(program, "gguf_q6k_embedding")[0]), "OutT:2=15 K:0=256 ");
  for (const MetalKernel* kernel : {&q4k, &q5k, &q6k}) {  // one header for all, stored once
    ASSERT_TRUE(kernel->header.has_value());
    EXPECT_EQ(kernel->header->view(), tessera::kernels::metal::header_text());
    EXPECT_EQ(kernel->header->view().data(), q4k.header->view().data());
  }
  using tessera::kernels::metal::Op;
  EXPECT_EQ(q5k.source, tessera::kernels::metal::body_text({quant::GgmlType::kQ5_K, Op::kMatvec}));
  EXPECT_EQ(q6k.source, tessera::kernels::metal::body_text({quant::GgmlType::kQ6_K, Op::kMatmul}));

  const MetalKernel& q8_0 = *kernels(program, "gguf_q8_0_matmul")[0];
  EXPECT_EQ(names(q8_0), "InT:2=15 OutT:2=15 N:0=256 K:0=256 ");
  EXPECT_TRUE(q8_0.source.view().starts_with("#error"));  // no Metal kernel for it: its name runs elsewhere
  EXPECT_EQ(q8_0.input_names[0], "x");
  EXPECT_EQ(q8_0.input_names[1], "weight");
  EXPECT_EQ(q8_0.output_names[0], "out");

  const MetalKernel& head = *kernels(program, "gguf_q6k_matvec").front();  // of the main chain
  EXPECT_EQ(head.output_shapes_flat, (std::vector<program::IntOrVid>{1, 512}));
  EXPECT_EQ(head.grid[1], program::IntOrVid(1));
}

TEST(Lower, TheTiedHeadReadsTheEmbeddingsConstant) {
  const Program program = compile_file(Gemma4File{});
  EXPECT_EQ(kernels(program, "gguf_q6k_embedding")[0]->inputs[0], kernels(program, "gguf_q6k_matvec")[0]->inputs[1]);
}

// A string that several instructions name is stored once.
TEST(Lower, EqualStringsShareStorage) {
  const Program program = compile_file(Gemma4File{});
  std::map<std::string, std::set<const void*>> storage;
  const auto note = [&](const program::String& s) { storage[s.str()].insert(s.identity()); };
  for (const auto& chain : program.chains)
    for (const auto& node : chain) {
      const auto* kernel = std::get_if<MetalKernel>(&node);
      if (!kernel) continue;
      note(kernel->name);
      note(kernel->source);
      note(*kernel->header);
      for (const auto* list : {&kernel->input_names, &kernel->output_names, &kernel->template_arg_names})
        for (const auto& s : *list) note(s);
    }
  EXPECT_GE(storage.size(), 10u);
  for (const auto& [text, where] : storage) EXPECT_EQ(where.size(), 1u) << text;
}

TEST(Lower, OnlyWhatIsReadBecomesAConstant) {
  Gemma4File file;
  file.add("mm.weight", "Q4_K", {256, 256});
  const Program program = compile_file(file);
  std::set<uint32_t> read;
  for (const auto& chain : program.chains)
    for (const auto& node : chain) program::for_each_use(node, [&](program::Tid tid) { read.insert(tid.idx); });
  for (uint32_t i = 0; i < program.n_constants; ++i) EXPECT_TRUE(read.contains(i)) << program.name_of({i});
  EXPECT_EQ(program.find_data("mm.weight"), nullptr);
}

TEST(Lower, HintsNameTheAttentions) {
  const Program program = compile_file(Gemma4File({.layers = 4, .shared_kv = 2}), {.dtype = DType::kF32});
  const program::Hints found = hints(program);
  const auto& main = program.chains[program.main_chain];
  ASSERT_EQ(found.attention.size(), 4u);
  for (size_t i = 0; i < 4; ++i) {
    const program::AttentionHint& hint = found.attention[i];
    const bool full = i % 2 == 1, owns_kv = i < 2;
    EXPECT_EQ(program::name_of(main[hint.begin]), "Reshape") << i;
    EXPECT_TRUE(std::holds_alternative<program::If>(main[hint.begin - 1])) << i;
    EXPECT_EQ(program::name_of(main[hint.end - 1]), "Reshape") << i;
    EXPECT_TRUE(std::holds_alternative<program::If>(main[hint.end])) << "attn_output follows";
    EXPECT_EQ(std::get<program::Reshape>(main[hint.begin]).x, hint.q);
    EXPECT_EQ(std::get<program::Reshape>(main[hint.end - 1]).out, program::Out{hint.out});
    EXPECT_EQ(program.name_of(hint.q_norm), fmt::format("blk.{}.attn_q_norm.weight", i));
    EXPECT_EQ(program.name_of(hint.k_cache), fmt::format("blk.{}.k_cache", i % 2));
    EXPECT_EQ(program.name_of(hint.v_cache), fmt::format("blk.{}.v_cache", i % 2));
    EXPECT_EQ(hint.k.has_value(), owns_kv);
    EXPECT_EQ(hint.k_norm.has_value(), owns_kv);
    EXPECT_EQ(hint.v == hint.k, full || !owns_kv) << "K = V on full layers";
    EXPECT_EQ(hint.window, full ? 0 : 32);
    EXPECT_EQ(hint.head_dim, full ? 128 : 64);
    EXPECT_EQ(hint.n_heads, 4);
    EXPECT_EQ(hint.n_kv_heads, full ? 1 : 2);
    EXPECT_EQ(hint.rope_periods.has_value(), full);
    EXPECT_EQ(hint.eps, 1e-6f);
    EXPECT_EQ(hint.scale, 1.0f);
  }
  ASSERT_TRUE(found.last_token_take);
  EXPECT_TRUE(std::holds_alternative<program::Take>(main[*found.last_token_take]));
}

TEST(Lower, CompressedCaches) {
  const Program program = compile_file(Gemma4File({.layers = 4, .shared_kv = 2}),
                                       {.dtype = DType::kBF16, .max_seq_len = 128, .turboquant = true});
  auto counts = count_nodes(program);
  EXPECT_EQ(counts["tq_norm"], 2);  // keys and values of the one full layer that owns some
  EXPECT_EQ(counts["tq4_compress"], 2);
  EXPECT_EQ(counts["tq_dequant"], 4);     // its own and those of the layer that shares them
  EXPECT_EQ(counts["Addmm"], 2 + 2 * 2);  // keys, values; queries and results of both layers
  EXPECT_EQ(counts["Sdpa"], 4);
  const auto meta = [&](std::string_view name) {
    for (const auto& named : program.named_slots)
      if (named.name == name) return program.tensor_meta[named.slot.idx];
    return program::TensorMeta{};
  };
  const auto shaped = [](DType dtype, std::vector<int32_t> sizes) {
    program::TensorMeta out{{}, dtype};
    for (int32_t size : sizes) out.shape.push_back({size});
    return out;
  };
  for (const char* x : {"k", "v"}) {
    EXPECT_EQ(meta(fmt::format("blk.1.{}_cache", x)), shaped(DType::kU8, {1, 1, 128, 64}));
    EXPECT_EQ(meta(fmt::format("blk.1.{}_norms", x)), shaped(DType::kBF16, {1, 1, 128, 1}));
    EXPECT_EQ(meta(fmt::format("blk.0.{}_cache", x)).dtype, DType::kBF16) << "windows stay as they are";
  }
  EXPECT_EQ(program.n_mutable, 2u + 4u);
  EXPECT_EQ(meta("tq4.rotation.128"), shaped(DType::kBF16, {128, 128}));
  EXPECT_EQ(meta("tq4.boundaries.128"), shaped(DType::kBF16, {15}));
  EXPECT_EQ(meta("tq4.centroids.128"), shaped(DType::kF32, {16}));

  const program::Hints found = hints(program);
  ASSERT_EQ(found.attention.size(), 4u);
  for (const program::AttentionHint& hint : found.attention) {
    ASSERT_EQ(hint.compressed.has_value(), hint.window == 0);
    if (!hint.compressed) continue;
    EXPECT_EQ(program.name_of(hint.k_cache), "blk.1.k_cache");
    EXPECT_EQ(program.name_of(hint.compressed->v_norms), "blk.1.v_norms");
    EXPECT_EQ(program.name_of(hint.compressed->rotation), "tq4.rotation.128");
    EXPECT_EQ(program.name_of(hint.compressed->centroids), "tq4.centroids.128");
  }
}

TEST(Lower, The31BShapeWithCompressedCaches) {
  const Gemma4File file(testing::kGemma4_31B);
  const Program program = compile_file(file, {.turboquant = true});
  auto counts = count_nodes(program);
  EXPECT_EQ(counts["tq_norm"], 20);
  EXPECT_EQ(counts["tq4_compress"], 20);
  EXPECT_EQ(counts["tq_dequant"], 20);
  EXPECT_LE(program.n_temps, 16u);
  EXPECT_LT(program::encode_payload(program).size(), (uint64_t{40} << 20) / 100);
  int64_t bytes = 0;  // of a position in the full layers' caches
  for (const auto& named : program.named_slots) {
    if (program.kind_of(program::Tid{named.slot.idx}) != program::TensorKind::kMutable) continue;
    const auto& meta = program.tensor_meta[named.slot.idx];
    if (meta.shape[2].value == 4096)
      bytes += int64_t{meta.shape[1].value} * meta.shape[3].value * static_cast<int64_t>(size_of(meta.dtype));
  }
  EXPECT_EQ(bytes, 20640);
}

// Names, operands and grids of ExecuTorch's kernels.
TEST(Lower, KernelsOfACompressedCache) {
  const Program program = compile_file(Gemma4File({.kv_heads_full = 2}), {.dtype = DType::kF16, .turboquant = true});
  const auto inputs = [](const MetalKernel& kernel) {
    std::string out;
    for (const auto& name : kernel.input_names) out += name.str() + " ";
    return out + "-> " + kernel.output_names[0].str();
  };
  const auto arguments = [](const MetalKernel& kernel) {
    return fmt::format("{}={} {}={}", kernel.template_arg_names[0].view(), kernel.template_arg_values[0],
                       kernel.template_arg_names[1].view(), kernel.template_arg_values[1]);
  };
  const MetalKernel &norm = *kernels(program, "tq_norm")[0], &compress = *kernels(program, "tq4_compress")[0],
                    &dequantize = *kernels(program, "tq_dequant")[0];
  EXPECT_EQ(inputs(norm), "x -> norms");
  EXPECT_EQ(inputs(compress), "values boundaries -> out");
  EXPECT_EQ(inputs(dequantize), "packed norms centroids -> out");
  EXPECT_EQ(arguments(norm), "InT=5 D=128");
  EXPECT_EQ(arguments(compress), "InT=5 B=15");
  EXPECT_EQ(arguments(dequantize), "InT=5 D=128");
  EXPECT_EQ(norm.grid[0], program::IntOrVid(32));
  EXPECT_EQ(dequantize.grid[0], program::IntOrVid(32));
  EXPECT_TRUE(norm.grid[2].is_vid && compress.grid[0].is_vid && dequantize.grid[2].is_vid);
  EXPECT_EQ(compress.output_shapes_flat[3], program::IntOrVid(64));
  EXPECT_EQ(compress.output_dtypes, std::vector<DType>{DType::kU8});
  for (const MetalKernel* kernel : {&norm, &compress, &dequantize}) {
    EXPECT_EQ(kernel->header->view(), kernels::metal::tq_header_text());
    EXPECT_EQ(kernel->threadgroup, (program::RequiredVector<program::IntOrVid>{32, 1, 1}));
  }
}

TEST(Lower, WhatCannotBeCompressedIsRefused) {
  const auto error = [](const Gemma4Shape& shape) {
    const Gemma4File file(shape);
    const auto program = compile_gguf(*file.open(), {.turboquant = true});
    return program ? std::string() : program.error().message;
  };
  EXPECT_EQ(error({}), "");
  EXPECT_NE(error({.head_dim_full = 192}).find("power of two from 64 to 1024 values: blk.1 (head_dim 192)"),
            std::string::npos)
      << error({.head_dim_full = 192});
  EXPECT_NE(error({.period = 3}).find("every layer attends to a window"), std::string::npos) << error({.period = 3});
}

// What an attention's instructions compute for themselves may be skipped as a whole: nothing after reads it.
TEST(Lower, NothingOutsideAnAttentionReadsItsInsides) {
  const Program program = compile_file(Gemma4File({.layers = 4, .shared_kv = 2}));
  const auto& main = program.chains[program.main_chain];
  const program::Hints found = hints(program);
  for (const program::AttentionHint& hint : found.attention) {
    std::set<uint32_t> inside, values;
    for (uint32_t i = hint.begin; i < hint.end; ++i) {
      program::for_each_def(main[i], [&](program::Tid tid) {
        if (program.kind_of(tid) == program::TensorKind::kTemp && tid != hint.out) inside.insert(tid.idx);
      });
      program::for_each_value_def(main[i], [&](program::Vid vid) { values.insert(vid.idx); });
    }
    for (uint32_t i = hint.end; i < main.size(); ++i) {
      program::for_each_value_use(main[i], [&](program::Vid vid) { EXPECT_FALSE(values.contains(vid.idx)) << i; });
      // A slot is somebody else's once it is written again; an If writes what its chains write.
      const std::function<void(const program::Node&)> check = [&](const program::Node& node) {
        program::for_each_use(node, [&](program::Tid tid) { EXPECT_FALSE(inside.contains(tid.idx)) << i; });
        program::for_each_chain(node, [&](uint32_t chain) {
          for (const auto& inner : program.chains[chain]) check(inner);
        });
        program::for_each_def(node, [&](program::Tid tid) { inside.erase(tid.idx); });
      };
      check(main[i]);
    }
  }
}

TEST(Lower, DenseWeightsAreTransposedAndMultipliedAsTheyAre) {
  Gemma4File file({}, "F16");
  file.tensor("token_embd.weight").format = quant::find_format("BF16");
  auto counts = count_nodes(compile_file(file, {.dtype = DType::kBF16}));
  EXPECT_EQ(counts["Transpose"], 14 + 8);  // every linear, and four a layer around attention
  EXPECT_EQ(counts["Addmm"], 14);
  EXPECT_EQ(counts["AsType"], 13 + 1);  // bf16 x f16 gives f32; the bf16 head's logits become f32
  EXPECT_EQ(counts["If"], 0);
  counts = count_nodes(compile_file(file, {.dtype = DType::kF32}));
  EXPECT_EQ(counts["AsType"], 1);  // the embedding's rows
}

TEST(Lower, AffineGroupsAreTheFrameworksOwnInstructions) {
  Gemma4File file;
  file.tensor("blk.0.attn_output.weight").format = quant::find_format("Q5_K");
  const Program program = compile_file(file, {.lowering = LoweringKind::kAffine});
  auto counts = count_nodes(program);
  // Weights of zeros: groups of 16 merge as well, so not even Q6_K needs a kernel.
  EXPECT_EQ(counts["QuantizedMatmul"], 14);
  EXPECT_EQ(counts["Dequantize"], 1);
  EXPECT_EQ(counts["If"], 0);
  const auto matmul = [&](std::string_view name) -> const program::QuantizedMatmul* {
    for (const auto& node : program.chains[program.main_chain])
      if (const auto* found = std::get_if<program::QuantizedMatmul>(&node); found && program.name_of(found->w) == name)
        return found;
    return nullptr;
  };
  const auto* up = matmul("blk.0.ffn_up.weight_packed");
  ASSERT_NE(up, nullptr);
  EXPECT_EQ(up->bits, 4);
  EXPECT_EQ(up->group_size, 128);
  EXPECT_EQ(up->mode, "affine");
  EXPECT_TRUE(up->transpose);
  EXPECT_EQ(program.name_of(up->scales), "blk.0.ffn_up.weight_scales");
  EXPECT_EQ(program.name_of(*up->biases), "blk.0.ffn_up.weight_biases");
  const auto sizes = [&](program::Tid slot) {
    std::vector<int32_t> out;
    for (const auto& dim : program.tensor_meta[slot.idx].shape) out.push_back(dim.value);
    return out;
  };
  EXPECT_EQ(sizes(up->w), (std::vector<int32_t>{512, 256 * 4 / 32}));
  EXPECT_EQ(sizes(up->scales), (std::vector<int32_t>{512, 2}));
  EXPECT_EQ(program.tensor_meta[up->scales.idx].dtype, DType::kBF16);
  EXPECT_EQ(matmul("blk.0.attn_output.weight_packed")->bits, 5);

  // The tied table: one set of slots, and biases that the init chain makes of the scales, once.
  const auto* head = matmul("token_embd.weight_packed");
  ASSERT_NE(head, nullptr);
  EXPECT_EQ(head->bits, 6);
  EXPECT_TRUE(sizes(*head->biases).empty());
  ASSERT_GE(program.init_chain, 0);
  const auto& init = program.chains[static_cast<size_t>(program.init_chain)];
  ASSERT_EQ(init.size(), 1u);
  const auto& multiply = std::get<program::Multiply>(init[0]);
  EXPECT_EQ(multiply.a, head->scales);
  EXPECT_EQ(multiply.out, program::Out{*head->biases});
  EXPECT_EQ(program.name_of(multiply.b), "scalar.bf16.-32");
  int takes = 0;
  for (const auto& node : program.chains[program.main_chain]) {
    const auto* take = std::get_if<program::Take>(&node);
    takes += take && (take->x == head->w || take->x == head->scales || take->x == *head->biases);
  }
  EXPECT_EQ(takes, 3);
}

TEST(Lower, FormatsUnknownToExecuTorch) {
  Gemma4File file;
  file.tensor("blk.0.ffn_up.weight").format = quant::find_format("Q2_K");
  file.tensor("blk.1.ffn_up.weight").format = quant::find_format("Q2_K");
  file.tensor("blk.1.attn_q.weight").format = quant::find_format("IQ4_XS");
  file.tensor("blk.1.ffn_down.weight").format = quant::find_format("Q8_0");
  std::vector<std::string> warnings;
  auto program = compile_gguf(*file.open(), {.unknown_formats = UnknownFormats::kDequantize}, &warnings);
  ASSERT_TRUE(program) << program.error().message;
  EXPECT_TRUE(program::verify(*program));
  ASSERT_EQ(warnings.size(), 3u);  // the third: no tokenizer
  EXPECT_EQ(warnings[0],
            "ExecuTorch has no form for IQ4_XS: 1 tensor of 69632 bytes in all become bf16: "
            "blk.1.attn_q.weight (69632)");
  EXPECT_EQ(warnings[1],
            "ExecuTorch has no form for Q2_K: 2 tensors of 86016 bytes in all become bf16: "
            "blk.0.ffn_up.weight (43008), blk.1.ffn_up.weight (43008)");
  auto counts = count_nodes(*program);
  EXPECT_EQ(counts["Addmm"], 3);
  EXPECT_EQ(counts["QuantizedMatmul"], 1) << "Q8_0 has groups of 32";
  EXPECT_EQ(counts["gguf_q2k_matvec"], 0);

  const auto refused = compile_gguf(*file.open(), {.unknown_formats = UnknownFormats::kRefuse});
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("IQ4_XS"), std::string::npos) << refused.error().message;
  EXPECT_NE(refused.error().message.find("blk.0.ffn_up.weight (43008)"), std::string::npos);
  EXPECT_EQ(count_nodes(compile_file(file))["gguf_q2k_matvec"], 2) << "here every format has a kernel";
}

TEST(Lower, DtypesOfActivationsAndCaches) {
  const Program program = compile_file(Gemma4File{}, {.dtype = DType::kF32, .kv_dtype = DType::kF16});
  for (const auto& named : program.named_slots) {
    const DType dtype = program.tensor_meta[named.slot.idx].dtype;
    const auto expect = [&](bool applies, DType want) { EXPECT_TRUE(!applies || dtype == want) << named.name; };
    expect(named.name.ends_with("_cache"), DType::kF16);
    expect(named.name.ends_with("norm.weight") || named.name == "rope_periods", DType::kF32);
    expect(named.name.ends_with("attn_q.weight"), DType::kU8);
  }
}

TEST(CompileGguf, OptionsAreChecked) {
  const auto file = *Gemma4File{}.open();
  const auto error = [&](const CompileOptions& options) {
    const auto program = compile_gguf(file, options);
    return program ? std::string("compiled") : program.error().message;
  };
  EXPECT_EQ(error({.max_seq_len = 4097}),
            "maximum sequence length: expected 1 to 4096 (the model's context), found 4097");
  EXPECT_NE(error({.max_seq_len = -1}), "compiled");
  EXPECT_EQ(error({.prefill_chunk = 0}), "prefill chunk: expected at least 1, found 0");
  EXPECT_EQ(error({.dtype = DType::kI32}), "activations and caches are f32, bf16 or f16, not i32");
  EXPECT_EQ(error({.disabled_passes = {"inline"}}), "there is no pass 'inline'");
  EXPECT_EQ(error({.disabled_passes = {"keep_last_token"}}), "pass 'keep_last_token' cannot be disabled");
  EXPECT_EQ(error({.max_seq_len = 4096}), "compiled");
}

TEST(CompileGguf, AShortContextBoundsTheChunk) {
  const Program program = compile_file(Gemma4File{}, {.max_seq_len = 16});
  EXPECT_EQ(program.int_constant("get_max_prefill_chunk"), 16);
  EXPECT_EQ(program.inputs[0].sizes, (std::vector<int32_t>{1, 16}));
}

TEST(CompileGguf, TheTokenizerTravelsAlong) {
  SKIP_WITHOUT_SHARED("vectors/gemma4-tiny");
  const auto file = *gguf::File::open((testing::shared_dir() / "vectors/gemma4-tiny/tiny-q4km.gguf").string());
  std::vector<std::string> warnings;
  const auto program = compile_gguf(file, {}, &warnings);
  ASSERT_TRUE(program) << program.error().message;
  EXPECT_EQ(warnings, std::vector<std::string>{});
  EXPECT_NE(program->find_data("tessera.tokenizer"), nullptr);
  EXPECT_EQ(program->int_constant("get_bos_id"), 2);
  EXPECT_EQ(program->int_constant("get_eos_ids"), 1);
  const auto model = program->find_data("tessera.model")->bytes;
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(model.data()), model.size()),
            "architecture=gemma4\nname=synthetic-gemma4\n");
}

TEST(CompileGguf, AFileWithoutATokenizerIsToldAbout) {
  std::vector<std::string> warnings;
  const auto program = compile_gguf(*Gemma4File{}.open(), {}, &warnings);
  ASSERT_TRUE(program);
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_NE(warnings[0].find("no tokenizer"), std::string::npos);
}

TEST(Passes, ThePipelineOnAModel) {
  auto model = *models::build_model(**Gemma4File{}.open(), {.dtype = DType::kBF16});
  const auto reports = run_passes(model.graph);
  ASSERT_TRUE(reports) << reports.error().message;
  ASSERT_EQ(reports->size(), all_passes().size());
  std::map<std::string_view, int> changes;
  for (const PassReport& report : *reports) changes[report.name] = report.changes;
  EXPECT_EQ(changes["keep_last_token"], 1);
  EXPECT_EQ(changes["common_subexpressions"], 1);  // the full layer's K = V
  testing::expect_golden("src/compile/golden/gemma4_after_passes.txt", graph::print(model.graph));
}

}  // namespace
}  // namespace tessera::compile
