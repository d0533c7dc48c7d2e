// Linears and embeddings against float64 over the dequantized weights: formats, tokens, ragged shapes, one launch of
// several weights, gates, biases, and what is refused.
#include "kernels/cpu/linear.h"
#include "base/float16.h"
#include "kernels/cuda/cuda_testing.h"

namespace tessera::kernels::cuda::testing {
namespace {

using quant::GgmlType;

constexpr GgmlType kBlocks[] = {GgmlType::kQ4_K, GgmlType::kQ5_K, GgmlType::kQ6_K, GgmlType::kQ8_0, GgmlType::kQ4_0};
constexpr GgmlType kFloats[] = {GgmlType::kF32, GgmlType::kF16, GgmlType::kBF16};

struct Weight {
  const quant::Format* format;
  int64_t n, k;
  Address address;
  std::vector<std::byte> bytes;
  std::vector<float> values;  // (n, k)
};

class LinearOnDevice : public OnDevice {
 protected:
  Weight weight(GgmlType type, int64_t n, int64_t k) {
    Weight out{.format = quant::find_format(type), .n = n, .k = k, .address = 0, .bytes = {}, .values = {}};
    std::vector<std::byte>& bytes = out.bytes;
    bytes.resize(static_cast<size_t>(n * out.format->bytes_for(k)));
    if (out.format->block_values == 256) {  // any bits, scales of a trained model
      std::vector<int64_t> rows(static_cast<size_t>(n));
      for (size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<int64_t>(i);
      const ops::Tensor tensor = emulator::random_weight(*out.format, n, k, rows, rng_);
      std::memcpy(bytes.data(), tensor.data, bytes.size());
    } else {
      const auto floats = random_floats(static_cast<size_t>(n * k), rng_);
      out.format->quantize(floats.data(), n * k, bytes.data());
    }
    out.values.resize(static_cast<size_t>(n * k));
    out.format->dequantize(bytes.data(), n * k, out.values.data());
    out.address = put(bytes);
    return out;
  }

  // x in the form the weight's kernels read.
  Activations activations(const std::vector<float>& x, int m, int64_t k, Form form, int group) {
    const Activations out = empty_form(form, m, k, group);
    run(&Api::activations, ActivationsArgs{.x = put(x), .element = Element::kF32, .out = out});
    return out;
  }

  static std::vector<double> product(const Weight& w, const std::vector<float>& x, int m) {
    std::vector<double> out(static_cast<size_t>(m * w.n));
    for (int64_t t = 0; t < m; ++t)
      for (int64_t r = 0; r < w.n; ++r) {
        double sum = 0;
        for (int64_t i = 0; i < w.k; ++i)
          sum += static_cast<double>(x[static_cast<size_t>(t * w.k + i)]) * w.values[static_cast<size_t>(r * w.k + i)];
        out[static_cast<size_t>(t * w.n + r)] = sum;
      }
    return out;
  }

  LinearJob job(const Weight& w, int m) {
    return {.weight = w.address,
            .gate = 0,
            .bias = 0,
            .out = poisoned(static_cast<size_t>(m * w.n) * 4),
            .out_element = Element::kF32,
            .n = static_cast<int32_t>(w.n)};
  }

  // The CPU's int8 arithmetic (kernels/cpu/arithmetic.md): the same integers, f32 sums in another order.
  static std::vector<double> cpu_int8(const Weight& w, const std::vector<float>& x, int m) {
    ThreadPool pool(1);
    cpu::Activations activations;
    activations.prepare(pool, cpu::best_isa(),
                        {.dtype = DType::kF32, .data = x.data(), .m = m, .k = w.k, .row_stride = w.k},
                        cpu::ActivationForms::of(*w.format, cpu::Arithmetic::kInt8));
    std::vector<float> out(static_cast<size_t>(m * w.n));
    const cpu::LinearJob job{.weight = {.format = w.format, .data = w.bytes.data(), .n = w.n, .k = w.k},
                             .out = {.dtype = DType::kF32, .data = out.data(), .row_stride = w.n}};
    cpu::linear(pool, cpu::best_isa(), std::span(&job, 1), activations);
    return {out.begin(), out.end()};
  }

  // One weight by matvec or matmul.
  double error_of(GgmlType type, int m, int64_t n, int64_t k, Form form) {
    const Weight w = weight(type, n, k);
    const auto x = random_floats(static_cast<size_t>(m) * static_cast<size_t>(k), rng_);
    LinearArgs args{.x = activations(x, m, k, form, w.format->block_values == 256 ? 256 : 32),
                    .format = *format_of(*w.format),
                    .n_jobs = 1,
                    .jobs = {job(w, m)},
                    .parts = parts(form)};
    run(form == Form::kF16Tiles ? &Api::matmul : &Api::matvec, args);
    const auto got = floats(args.jobs[0].out, static_cast<size_t>(m * n));
    if (form == Form::kInt8) {
      EXPECT_LE(relative_error(got, cpu_int8(w, x, m)), 1e-5) << w.format->name << " m " << m;
    }
    return relative_error(got, product(w, x, m));
  }
};

// Against float64 the product of a few rows may be off by more than int8 is on average: 1.5e-2 over all of them.
TEST_P(LinearOnDevice, MatvecInt8) {
  for (GgmlType type : kBlocks) {
    double errors = 0;
    const auto tokens = {1, 2, 3, 5, 8, 11, 16};
    for (int m : tokens) {
      const int64_t k = (type == GgmlType::kQ8_0 || type == GgmlType::kQ4_0) ? 32 * (1 + m) : 256 * (1 + m % 7);
      const double error = error_of(type, m, 13 + m, k, Form::kInt8);
      errors += error * error;
    }
    EXPECT_LE(std::sqrt(errors / static_cast<double>(tokens.size())), 1.5e-2) << static_cast<int>(type);
  }
}
TEST_P(LinearOnDevice, MatvecOfLongRowsSharesThemAmongWarps) {
  for (GgmlType type : kBlocks) EXPECT_LE(error_of(type, 2, 5, 16384 + 256, Form::kInt8), 3e-2);
}
// More parts of a row than a block has warps.
TEST_P(LinearOnDevice, MatvecOfRowsLongerThanAllWarpsTakeAtOnce) {
  for (GgmlType type : {GgmlType::kQ4_K, GgmlType::kQ6_K, GgmlType::kQ8_0, GgmlType::kQ4_0})
    EXPECT_LE(error_of(type, 1, 7, 12 * 8 * 256 + 512, Form::kInt8), 3e-2) << static_cast<int>(type);
}
// Rows whose sums fill a block's shared memory more than once.
TEST_P(LinearOnDevice, MatvecOfMoreRowsThanABlockKeeps) {
  if (gpu_->info().n_multiprocessors > 8) GTEST_SKIP() << "of a device with few multiprocessors";
  const int64_t n = 1750 * gpu_->info().n_multiprocessors, k = 2048;
  EXPECT_LE(error_of(GgmlType::kQ4_K, 2, n, k, Form::kInt8), 1.5e-2);
}
// Rows of as many pieces as there are blocks for them, of fewer, of more: one block then has several, one after the
// other. And of a few values each, where several teams of warps share a stage.
TEST_P(LinearOnDevice, MatvecOfRowsInPieces) {
  for (GgmlType type : kBlocks)
    for (int m : {3, 8, 16}) {
      for (int64_t units : {2, 5, 11, 21, 30, 84})
        EXPECT_LE(error_of(type, m, 35, 256 * units, Form::kInt8), 3e-2) << m;
      EXPECT_LE(error_of(type, m, 70, 256 * 100, Form::kInt8), 3e-2) << m << " tokens, more pieces than blocks a row";
    }
  // A piece that ends within a unit, and blocks of more stages than slots.
  for (int m : {4, 13}) EXPECT_LE(error_of(GgmlType::kQ8_0, m, 900, 32 * 175, Form::kInt8), 1.5e-2) << m;
  EXPECT_EQ(get<uint32_t>(parts(), kMatvecPartsBytes / 4), std::vector<uint32_t>(kMatvecPartsBytes / 4))
      << "sums that nobody took";
}
// To the bit, whatever block comes first.
TEST_P(LinearOnDevice, MatvecIsTheSameOnEveryRun) {
  for (const int m : {1, 6}) {
    const int64_t n = 400, k = m == 1 ? 4096 : 8192;
    const auto n_out = static_cast<size_t>(m * n);
    const Weight w = weight(GgmlType::kQ4_K, n, k);
    LinearArgs args{.x = activations(random_floats(static_cast<size_t>(m * k), rng_), m, k, Form::kInt8, 256),
                    .format = Format::kQ4_K,
                    .n_jobs = 1,
                    .jobs = {job(w, m)},
                    .parts = parts()};
    run(&Api::matvec, args);
    const auto first = get<uint32_t>(args.jobs[0].out, n_out);
    for (int i = 0; i < 8; ++i) {
      args.jobs[0].out = poisoned(n_out * 4);
      run(&Api::matvec, args);
      EXPECT_EQ(get<uint32_t>(args.jobs[0].out, n_out), first) << m;
    }
  }
}
TEST_P(LinearOnDevice, MatvecExact) {
  for (GgmlType type : kBlocks)
    for (int m : {1, 9}) EXPECT_LE(error_of(type, m, 7, 1536, Form::kF32), 1e-5) << static_cast<int>(type);
  for (GgmlType type : kFloats)
    for (int64_t k : {1, 33, 1021, 1026, 2300})
      for (int m : {1, 6}) EXPECT_LE(error_of(type, m, 9, k, Form::kF32), 1e-5) << static_cast<int>(type) << " k " << k;
}
// Rows of whole 16-byte words, of which four warps take a part each: none, a part of a load, some loads.
TEST_P(LinearOnDevice, MatvecOfFloatsInWholeWords) {
  for (GgmlType type : kFloats)
    for (int64_t k : {8, 264, 2312, 17416})
      EXPECT_LE(error_of(type, 1, 13, k, Form::kF32), 1e-5) << static_cast<int>(type) << " k " << k;
}
TEST_P(LinearOnDevice, Matmul) {
  for (GgmlType type : kBlocks)
    EXPECT_LE(error_of(type, 130, 131, 512, Form::kF16Tiles), 4e-3) << static_cast<int>(type);
  for (GgmlType type : kFloats) EXPECT_LE(error_of(type, 17, 40, 96, Form::kF16Tiles), 4e-3) << static_cast<int>(type);
  for (GgmlType type : {GgmlType::kQ8_0, GgmlType::kQ4_0})  // rows that end within a unit
    for (int64_t k : {32, 352, 416}) EXPECT_LE(error_of(type, 20, 30, k, Form::kF16Tiles), 4e-3) << k;
  EXPECT_LE(error_of(GgmlType::kQ4_K, 290, 300, 1792, Form::kF16Tiles), 4e-3);  // every ring more than once around
  EXPECT_LE(error_of(GgmlType::kBF16, 390, 20, 704, Form::kF16Tiles), 4e-3);    // half a tile of tokens
}

// Up to 32 and up to 64 tokens take blocks of 64 rows, up to 128 of more: few of them, or more than the device has
// multiprocessors.
TEST_P(LinearOnDevice, MatmulOfUpTo128Tokens) {
  const int64_t many = 256 * gpu_->info().n_multiprocessors + 24;
  for (int m : {32, 33, 64, 65, 128}) EXPECT_LE(error_of(GgmlType::kQ6_K, m, 90, 512, Form::kF16Tiles), 4e-3) << m;
  for (GgmlType type : {GgmlType::kQ4_K, GgmlType::kQ8_0, GgmlType::kBF16})
    EXPECT_LE(error_of(type, 100, many, 256, Form::kF16Tiles), 4e-3) << static_cast<int>(type);
}

// Tiles that are left over are cut along k: one tile or a few of them, of whole rounds or rows that end within one.
TEST_P(LinearOnDevice, MatmulOfTilesCutAlongK) {
  for (GgmlType type : kBlocks)
    EXPECT_LE(error_of(type, 20, 30, 5376, Form::kF16Tiles), 4e-3) << static_cast<int>(type);
  for (GgmlType type : {GgmlType::kQ4_K, GgmlType::kQ8_0, GgmlType::kBF16})
    EXPECT_LE(error_of(type, 300, 90, 2304 + (type == GgmlType::kQ4_K ? 0 : 96), Form::kF16Tiles), 4e-3)
        << static_cast<int>(type);
  EXPECT_LE(error_of(GgmlType::kF16, 100, 200, 1984, Form::kF16Tiles), 4e-3);
}
// To the bit, whatever block comes first; and without scratch nothing is cut.
TEST_P(LinearOnDevice, MatmulOfCutTilesIsTheSameOnEveryRun) {
  const int m = 70;
  const int64_t n = 150, k = 4096;
  const Weight w = weight(GgmlType::kQ6_K, n, k);
  const auto x = random_floats(static_cast<size_t>(m * k), rng_);
  LinearArgs args{.x = activations(x, m, k, Form::kF16Tiles, 0), .format = Format::kQ6_K, .n_jobs = 1};
  const auto result = [&](Address parts) {
    args.parts = parts, args.jobs[0] = job(w, m);
    run(&Api::matmul, args);
    return floats(args.jobs[0].out, static_cast<size_t>(m * n));
  };
  const auto first = result(matmul_parts());
  for (int i = 0; i < 4; ++i) EXPECT_EQ(result(matmul_parts()), first);
  EXPECT_LE(relative_error(result(0), {first.begin(), first.end()}), 1e-5);
}

// The queries, keys and values of a layer in one launch.
TEST_P(LinearOnDevice, SeveralWeightsOverOneInput) {
  const int m = 3;
  const int64_t k = 512, n[] = {37, 5, 6};
  const auto x = random_floats(static_cast<size_t>(m * k), rng_);
  LinearArgs args{
      .x = activations(x, m, k, Form::kInt8, 256), .format = Format::kQ6_K, .n_jobs = 3, .jobs = {}, .parts = parts()};
  std::vector<std::vector<double>> expected;
  for (int i = 0; i < 3; ++i) {
    const Weight w = weight(GgmlType::kQ6_K, n[i], k);
    args.jobs[i] = job(w, m);
    expected.push_back(product(w, x, m));
  }
  const auto bias = random_floats(static_cast<size_t>(n[1]), rng_);
  args.jobs[1].bias = put(bias);
  for (size_t i = 0; i < expected[1].size(); ++i) expected[1][i] += bias[i % bias.size()];
  run(&Api::matvec, args);
  for (size_t i = 0; i < 3; ++i)
    EXPECT_LE(relative_error(floats(args.jobs[i].out, expected[i].size()), expected[i]), 3e-2) << i;
}

TEST_P(LinearOnDevice, SeveralWeightsOfFloats) {
  const int64_t k = 520, n[] = {37, 5, 6};
  const auto x = random_floats(static_cast<size_t>(k), rng_);
  LinearArgs args{.x = activations(x, 1, k, Form::kF32, 0), .format = Format::kBF16, .n_jobs = 3};
  std::vector<std::vector<double>> expected;
  for (int i = 0; i < 3; ++i) {
    const Weight w = weight(GgmlType::kBF16, n[i], k);
    args.jobs[i] = job(w, 1);
    expected.push_back(product(w, x, 1));
  }
  const auto bias = random_floats(static_cast<size_t>(n[1]), rng_);
  args.jobs[1].bias = put(bias);
  for (size_t i = 0; i < expected[1].size(); ++i) expected[1][i] += bias[i];
  run(&Api::matvec, args);
  for (size_t i = 0; i < 3; ++i)
    EXPECT_LE(relative_error(floats(args.jobs[i].out, expected[i].size()), expected[i]), 1e-5) << i;
}

// The same on the tensor cores, to f16 where rows of four fit and where they do not.
TEST_P(LinearOnDevice, SeveralWeightsByMatmul) {
  const int m = 150;
  const int64_t k = 512, n[] = {36, 5, 150};
  const auto x = random_floats(static_cast<size_t>(m * k), rng_);
  LinearArgs args{.x = activations(x, m, k, Form::kF16Tiles, 256), .format = Format::kQ5_K, .n_jobs = 3};
  args.parts = matmul_parts();
  std::vector<std::vector<double>> expected;
  for (int i = 0; i < 3; ++i) {
    const Weight w = weight(GgmlType::kQ5_K, n[i], k);
    args.jobs[i] = job(w, m);
    args.jobs[i].out_element = i == 2 ? Element::kF32 : Element::kF16;
    expected.push_back(product(w, x, m));
    const auto bias = random_floats(static_cast<size_t>(n[i]), rng_);
    args.jobs[i].bias = put(bias);
    for (size_t at = 0; at < expected.back().size(); ++at) expected.back()[at] += bias[at % bias.size()];
  }
  run(&Api::matmul, args);
  for (size_t i = 0; i < 3; ++i) {
    const auto got = get_as(args.jobs[i].out, expected[i].size(), args.jobs[i].out_element);
    EXPECT_LE(relative_error(got, expected[i]), 4e-3) << i;
  }
}

// Rows of 21 outputs: tiles take eight of the gate and eight of the weight.
TEST_P(LinearOnDevice, Gate) {
  const auto error_of_gated = [&](GgmlType type, int m, int64_t k, Form form) {
    const Weight up = weight(type, 21, k), gate = weight(type, 21, k);
    const auto x = random_floats(static_cast<size_t>(m) * static_cast<size_t>(k), rng_, 8.0f);
    LinearArgs args{.x = activations(x, m, k, form, up.format->block_values == 256 ? 256 : 32),
                    .format = *format_of(*up.format),
                    .n_jobs = 1,
                    .jobs = {job(up, m)},
                    .parts = parts(form)};
    args.jobs[0].gate = gate.address;
    run(form == Form::kF16Tiles ? &Api::matmul : &Api::matvec, args);
    // In int8 the CPU's integers: against float64 one output that cancels may be most of all 21.
    const auto values = [&](const Weight& w) { return form == Form::kInt8 ? cpu_int8(w, x, m) : product(w, x, m); };
    auto expected = values(up);
    const auto gates = values(gate);
    for (size_t i = 0; i < expected.size(); ++i) {
      const double g = gates[i];
      expected[i] *= 0.5 * g * (1 + std::tanh(std::sqrt(2 / M_PI) * (g + 0.044715 * g * g * g)));
    }
    return relative_error(floats(args.jobs[0].out, expected.size()), expected);
  };
  for (int m : {1, 4}) EXPECT_LE(error_of_gated(GgmlType::kQ4_K, m, 768, Form::kF32), 1e-4);
  for (GgmlType type : kFloats)
    for (int64_t k : {264, 5128})
      EXPECT_LE(error_of_gated(type, 1, k, Form::kF32), 1e-4) << static_cast<int>(type) << " k " << k;
  for (GgmlType type : kBlocks) {
    for (int m : {1, 4, 9}) EXPECT_LE(error_of_gated(type, m, 768, Form::kInt8), 1e-3) << static_cast<int>(type);
    for (int m : {20, 140}) EXPECT_LE(error_of_gated(type, m, 768, Form::kF16Tiles), 1e-2) << static_cast<int>(type);
  }
}

// A feed-forward's product in the form of the linear after it, by blocks that wait for others' tiles.
TEST_P(LinearOnDevice, GateInTheFormOfTheNextLinear) {
  struct Case {
    GgmlType type;
    int m;
    int64_t n, k;
    int group;
    Element element;
  };
  for (const Case& c :
       {Case{GgmlType::kQ4_K, 1, 1024, 512, 256, Element::kBF16}, Case{GgmlType::kQ4_K, 1, 256, 256, 32, Element::kF16},
        Case{GgmlType::kQ5_K, 3, 512, 768, 256, Element::kF32}, Case{GgmlType::kQ6_K, 1, 768, 1280, 256, Element::kF16},
        Case{GgmlType::kQ8_0, 8, 512, 96, 32, Element::kBF16}, Case{GgmlType::kQ4_0, 1, 512, 352, 256, Element::kF32},
        Case{GgmlType::kQ4_K, 11, 256, 768, 256, Element::kBF16},
        Case{GgmlType::kQ5_K, 5, 256, 256 * 25, 256, Element::kBF16}}) {
    const Weight up = weight(c.type, c.n, c.k), gate = weight(c.type, c.n, c.k);
    const auto n_out = static_cast<size_t>(c.m * c.n);
    const auto x = random_floats(static_cast<size_t>(c.m * c.k), rng_, 8.0f);
    LinearArgs args{.x = activations(x, c.m, c.k, Form::kInt8, up.format->block_values == 256 ? 256 : 32),
                    .format = *format_of(*up.format),
                    .n_jobs = 1,
                    .jobs = {job(up, c.m)},
                    .parts = parts(),
                    .made = {},
                    .outputs = put(std::vector<uint32_t>(n_out))};
    args.jobs[0].gate = gate.address, args.jobs[0].out_element = c.element;
    run(&Api::matvec, args);
    const auto alone = get_as(args.jobs[0].out, n_out, c.element);
    for (int i = 0; i < 4; ++i) {  // on what the run before left
      args.jobs[0].out = poisoned(n_out * 4);
      args.made = empty_form(Form::kInt8, c.m, c.n, c.group);
      run(&Api::matvec, args);
      EXPECT_EQ(get_as(args.jobs[0].out, n_out, c.element), alone);
      expect_form_of(args.jobs[0].out, c.element, args.made);
      EXPECT_EQ(get<uint32_t>(args.outputs, n_out), std::vector<uint32_t>(n_out)) << "outputs that nobody took";
    }
  }
}

TEST_P(LinearOnDevice, OutputsOfSixteenBits) {
  const Weight w = weight(GgmlType::kQ8_0, 10, 64);
  const auto x = random_floats(64, rng_);
  for (const Element element : {Element::kF16, Element::kBF16}) {
    LinearArgs args{
        .x = activations(x, 1, 64, Form::kF32, 0), .format = Format::kQ8_0, .n_jobs = 1, .jobs = {job(w, 1)}};
    args.jobs[0].out_element = element;
    run(&Api::matvec, args);
    std::vector<float> got;
    for (const uint16_t bits : get<uint16_t>(args.jobs[0].out, 10))
      got.push_back(element == Element::kF16 ? to_f32(F16{bits}) : to_f32(BF16{bits}));
    EXPECT_LE(relative_error(got, product(w, x, 1)), element == Element::kF16 ? 1e-3 : 6e-3);
  }
}

TEST_P(LinearOnDevice, Embedding) {
  const std::vector<int32_t> ids = {4, 0, 8, -1, 9};
  for (GgmlType type : {GgmlType::kQ4_K, GgmlType::kQ5_K, GgmlType::kQ6_K, GgmlType::kQ8_0, GgmlType::kQ4_0,
                        GgmlType::kF32, GgmlType::kF16, GgmlType::kBF16}) {
    const int64_t k = type == GgmlType::kF16 ? 70 : 1280;
    const Weight w = weight(type, 9, k);
    const Address out = poisoned(ids.size() * static_cast<size_t>(k) * 4);
    run(&Api::embedding, EmbeddingArgs{.table = w.address,
                                       .ids = put(ids),
                                       .out = out,
                                       .format = *format_of(*w.format),
                                       .element = Element::kF32,
                                       .m = static_cast<int32_t>(ids.size()),
                                       .k = static_cast<int32_t>(k),
                                       .n_rows = 9,
                                       .factor = 2});
    const auto got = floats(out, ids.size() * static_cast<size_t>(k));
    for (size_t t = 0; t < ids.size(); ++t)
      for (int64_t i = 0; i < k; ++i) {
        const float value = got[t * static_cast<size_t>(k) + static_cast<size_t>(i)];
        if (ids[t] < 0 || ids[t] >= 9)
          ASSERT_TRUE(std::isnan(value)) << "a token outside the table";
        else
          ASSERT_NEAR(value, 2 * w.values[static_cast<size_t>(ids[t] * k + i)], 1e-6 * std::fabs(value) + 1e-9);
      }
  }
}

TEST_P(LinearOnDevice, WhatIsRefusedSaysWhy) {
  LinearArgs args{.x = {.form = Form::kInt8, .m = 17, .k = 256, .group = 256}, .format = Format::kQ4_K, .n_jobs = 1};
  EXPECT_FALSE(gpu_->run(&Api::matvec, args));
  args.x.m = 1;
  args.x.group = 32;
  const Status status = gpu_->run(&Api::matvec, args);
  ASSERT_FALSE(status);
  EXPECT_NE(status.error().message.find("group"), std::string::npos);
  args.x.group = 256, args.parts = parts();
  args.made = {.form = Form::kInt8, .m = 1, .k = 256, .group = 256};  // of a job without a gate
  const Status of_form = gpu_->run(&Api::matvec, args);
  ASSERT_FALSE(of_form);
  EXPECT_NE(of_form.error().message.find("form"), std::string::npos);
  args.format = static_cast<Format>(10);  // Q2_K
  EXPECT_FALSE(gpu_->run(&Api::matvec, args));
  EXPECT_FALSE(format_of(*quant::find_format("Q2_K")).has_value());
}

TESSERA_ON_DEVICES(LinearOnDevice);

}  // namespace
}  // namespace tessera::kernels::cuda::testing
