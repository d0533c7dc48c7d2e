// A small program with one of everything a .pte can hold, and ways to get it into bytes.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <string>
#include <tuple>
#include <vector>

#include "program/program.h"
#include "program/pte_loader.h"
#include "program/pte_writer.h"
#include "test_util.h"

namespace tessera::program::testing {

inline std::vector<std::byte> bytes_of(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text.data(), text.size()));
  return {bytes.begin(), bytes.end()};
}

inline MetalKernel sample_kernel(Tid x, Tid w, Out out, const std::string& source) {
  MetalKernel kernel;
  kernel.name = String(std::string("gguf_q6k_matvec"));
  kernel.source = String(source);
  kernel.header = String(std::string("#include <metal_stdlib>\n"));
  kernel.inputs = {x, w};
  kernel.input_names = {String(std::string("x")), String(std::string("w"))};
  kernel.outputs = {out};
  kernel.output_names = {String(std::string("out"))};
  kernel.grid = {IntOrVid(32), IntOrVid(Vid{0}), IntOrVid(1)};
  kernel.threadgroup = {IntOrVid(32), IntOrVid(2), IntOrVid(1)};
  kernel.output_shapes_flat = {IntOrVid(Vid{0}), IntOrVid(4)};
  kernel.output_shape_lengths = {2};
  kernel.output_dtypes = {DType::kF32};
  kernel.template_arg_names = {String(std::string("InT")), String(std::string("N"))};
  kernel.template_arg_kinds = {2, 0};
  kernel.template_arg_values = {static_cast<int32_t>(DType::kF32), 4};
  return kernel;
}

// Tensors: 0 weight (u8 blob), 1 bias, 2 dummy (constants); 3 x (input); 4 y (output); 5 state (mutable); 6, 7 temps.
// Chains: 0 main, 1 and 2 the branches of its If, 3 init.
inline Program sample_program() {
  Program p;
  p.n_constants = 3;
  p.n_inputs = p.n_outputs = p.n_mutable = 1;
  p.n_temps = 2;
  p.n_values = 2;
  const std::string source(500, 's');
  p.chains.resize(4);
  p.chains[0] = {SymSize{Tid{3}, 0, {{0}}}, SubtractInt{IntOrVid(Vid{0}), IntOrVid(1), {{1}}},
                 If{IntOrVid(Vid{1}), 1, 2}, Add{Tid{6}, Tid{1}, {{4}}}, IdCopy{Tid{6}, {{5}}}};
  p.chains[1] = {sample_kernel(Tid{3}, Tid{0}, {{6}}, source)};
  p.chains[2] = {sample_kernel(Tid{3}, Tid{0}, {{6}}, source), Sdpa{Tid{6}, Tid{6}, Tid{6}, {{7}}, 0.5f, Tid{5}, true}};
  p.chains[3] = {IdCopy{Tid{1}, {{2}}}};
  p.init_chain = 3;
  p.input_map = {{3, SlotType::kTensor}};
  p.output_map = {{4, SlotType::kTensor}};
  p.mutable_map = {{5, SlotType::kTensor}};
  p.named_slots = {{"weight", {0, SlotType::kTensor}}, {"bias", {1, SlotType::kTensor}},
                   {"dummy", {2, SlotType::kTensor}},  {"x", {3, SlotType::kTensor}},
                   {"y", {4, SlotType::kTensor}},      {"state", {5, SlotType::kTensor}}};
  const ShapeDim rows{-1, 0, 8};
  p.tensor_meta = {{{{420}}, DType::kU8},      {{{4}}, DType::kF32},       {{{4}}, DType::kF32},
                   {{rows, {4}}, DType::kF32}, {{rows, {4}}, DType::kF32}, {{{2}, {4}}, DType::kBF16}};
  p.inputs = {{DType::kF32, {8, 4}, true}};
  p.outputs = {{DType::kF32, {8, 4}, true}};
  p.constant_methods["get_max_seq_len"] = {int64_t{4096}};
  p.constant_methods["get_eos_ids"] = {int64_t{1}, int64_t{106}};
  p.constant_methods["use_kv_cache"] = {true};
  p.constant_methods["get_scale"] = {0.125};
  p.constant_methods["get_name"] = {std::string("sample")};
  p.constant_methods["get_windows"] = {ConstantTensor{DType::kI32, {3}, bytes_of(std::string(12, '\1'))},
                                       ConstantTensor{DType::kU8, {}, bytes_of("z")}};
  p.data["weight"] = Data::own(bytes_of(std::string(420, 'w')));
  p.data["bias"] = Data::own(bytes_of(std::string(16, 'b')));
  p.data["dummy"] = p.data["bias"];  // two keys, one blob
  p.data["tessera.note"] = Data::own(bytes_of("for our eyes"));
  return p;
}

inline std::vector<std::byte> read_bytes(const std::string& path) {
  const auto chars = tessera::testing::read_file(path);
  const auto bytes = std::as_bytes(std::span(chars));
  return {bytes.begin(), bytes.end()};
}

inline void write_bytes(const std::string& path, const std::vector<std::byte>& bytes) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

inline std::vector<std::byte> written(const Program& program, const WriteOptions& options = {}) {
  const tessera::testing::TempDir dir;
  const Status status = write_pte(program, dir.file("p.pte"), options);
  EXPECT_TRUE(status) << status.error().message;
  return status ? read_bytes(dir.file("p.pte")) : std::vector<std::byte>();
}

inline Result<Program> loaded(const std::vector<std::byte>& bytes, const LoadOptions& options = {}) {
  auto owner = std::make_shared<const std::vector<std::byte>>(bytes);
  const std::span<const std::byte> view(*owner);
  return load_pte(view, std::move(owner), "p.pte", options);
}

// Everything but where the bytes of data live.
inline void expect_equal(const Program& a, const Program& b) {
  EXPECT_EQ(a.method, b.method);
  EXPECT_EQ(std::tie(a.n_constants, a.n_inputs, a.n_outputs, a.n_mutable, a.n_temps, a.n_values),
            std::tie(b.n_constants, b.n_inputs, b.n_outputs, b.n_mutable, b.n_temps, b.n_values));
  EXPECT_EQ(a.chains, b.chains);
  EXPECT_EQ(std::tie(a.main_chain, a.init_chain), std::tie(b.main_chain, b.init_chain));
  EXPECT_EQ(std::tie(a.input_map, a.output_map, a.mutable_map, a.named_slots, a.tensor_meta),
            std::tie(b.input_map, b.output_map, b.mutable_map, b.named_slots, b.tensor_meta));
  EXPECT_EQ(std::tie(a.inputs, a.outputs, a.constant_methods), std::tie(b.inputs, b.outputs, b.constant_methods));
  ASSERT_EQ(a.data.size(), b.data.size());
  for (const auto& [key, data] : a.data) {
    const Data* other = b.find_data(key);
    ASSERT_NE(other, nullptr) << key;
    EXPECT_TRUE(std::ranges::equal(data.bytes, other->bytes)) << key;
  }
}

}  // namespace tessera::program::testing
