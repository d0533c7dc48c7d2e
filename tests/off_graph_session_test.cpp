// A session of a program whose keys and values live outside the graph (UpdateAndAttend): the model is written here,
// two layers of attention over a table of embeddings, and computed a second time by brute force.
#include <random>

#include "base/float16.h"
#include "compile/program_builder.h"
#include "model_testing.h"

namespace tessera {
namespace {

using namespace testing;  // NOLINT: the test helpers
using program::Out;
using program::Tid;

constexpr int64_t kVocab = 16, kHeads = 2, kDim = 4, kWidth = kHeads * kDim, kContext = 12, kMaxWrite = 3;
constexpr int32_t kWindow = 4;  // of layer 0; layer 1 sees everything
constexpr float kScale = 0.5f;

std::vector<float> random_table() {
  std::mt19937 rng(3);
  std::normal_distribution<float> normal;
  std::vector<float> table(kVocab * kWidth);
  for (float& value : table) value = normal(rng);
  return table;
}

program::ConstantValue int32s(const std::vector<int32_t>& values) {
  const auto bytes = std::as_bytes(std::span(values));
  return program::ConstantTensor{DType::kI32, {static_cast<int32_t>(values.size())}, {bytes.begin(), bytes.end()}};
}

// x (1, T, kWidth) -> x + attention of x over itself, q = k = v.
Out attend(compile::ProgramBuilder& b, Tid x, Tid positions, int32_t layer) {
  const Out heads = b.emit_to_temp(program::Reshape{.x = x, .out = {}, .shape = {1, -1, kHeads, kDim}});
  const Out q = b.emit_to_temp(program::Transpose{.x = heads, .out = {}, .perm = {0, 2, 1, 3}});
  const Out seen = b.emit_to_temp(program::UpdateAndAttend{
      .q = q, .k = q, .v = q, .position = positions, .out = {}, .layer_id = layer, .scale = kScale, .out_dtype = {}});
  const Out tokens = b.emit_to_temp(program::Transpose{.x = seen, .out = {}, .perm = {0, 2, 1, 3}});
  const Out rows = b.emit_to_temp(program::Reshape{.x = tokens, .out = {}, .shape = {1, -1, kWidth}});
  return b.emit_to_temp(program::Add{.a = x, .b = rows, .out = {}});
}

program::Program make_program() {
  compile::ProgramBuilder b(kContext);
  const auto values = random_table();
  const auto bytes = std::as_bytes(std::span(values));
  const Tid table =
      b.constant("table", DType::kF32, {kVocab, kWidth}, program::Data::own({bytes.begin(), bytes.end()}));
  const Tid tokens = b.input("tokens", DType::kI64, {1, compile::kDynamic});
  const Tid positions = b.input("positions", DType::kI64, {compile::kDynamic});
  Out x = b.emit_to_temp(program::Take{.x = table, .out = {}, .index = tokens, .axis = 0});
  for (int32_t layer : {0, 1}) x = attend(b, x, positions, layer);
  const Out last = b.emit_to_temp(program::Take{.x = x, .out = {}, .index = -1, .axis = 1});
  const Out turned = b.emit_to_temp(program::Transpose{.x = table, .out = {}, .perm = {1, 0}});
  const Out logits = b.emit_to_temp(program::Addmm{.mat1 = last, .mat2 = turned, .out = {}, .bias = {}});
  b.make_output(logits, "logits", DType::kF32, {1, kVocab});
  auto out = std::move(b).finish({});
  out.constant_methods["get_max_seq_len"] = {kContext};
  out.constant_methods["get_max_ctx_len"] = {kContext};
  out.constant_methods["get_n_caches"] = {int64_t{2}};
  out.constant_methods["get_kv_heads"] = {int32s({kHeads, kHeads})};
  out.constant_methods["get_head_dims"] = {int32s({kDim, kDim})};
  out.constant_methods["get_windows"] = {int32s({kWindow, 0})};
  out.constant_methods["get_prefill_chunk_size"] = {kMaxWrite};
  return out;
}

// Logits after the last of `tokens`. The cache holds bf16, the queries are f32.
std::vector<float> brute_force(const std::vector<int32_t>& tokens) {
  const auto table = random_table();
  const auto row_of = [&](int32_t token) { return table.begin() + token * kWidth; };
  std::vector<std::vector<double>> x;
  for (const int32_t token : tokens) x.emplace_back(row_of(token), row_of(token) + kWidth);
  for (const size_t window : {size_t{kWindow}, tokens.size()}) {
    const auto held = [&](size_t t, int64_t i) {
      return static_cast<double>(to_f32(to_bf16(static_cast<float>(x[t][static_cast<size_t>(i)]))));
    };
    auto next = x;
    for (size_t t = 0; t < x.size(); ++t)
      for (int64_t head = 0; head < kWidth; head += kDim) {
        double sum = 0, seen[kDim] = {};
        for (size_t s = t + 1 > window ? t + 1 - window : 0; s <= t; ++s) {
          double score = 0;
          for (int64_t i = head; i < head + kDim; ++i) score += x[t][static_cast<size_t>(i)] * held(s, i);
          const double weight = std::exp(score * static_cast<double>(kScale));
          sum += weight;
          for (int64_t i = 0; i < kDim; ++i) seen[i] += weight * held(s, head + i);
        }
        for (int64_t i = 0; i < kDim; ++i) next[t][static_cast<size_t>(head + i)] += seen[i] / sum;
      }
    x = next;
  }
  std::vector<float> logits;
  for (int32_t token = 0; token < kVocab; ++token) {
    double dot = 0;
    for (size_t i = 0; i < kWidth; ++i)
      dot += x.back()[i] * static_cast<double>(row_of(token)[static_cast<std::ptrdiff_t>(i)]);
    logits.push_back(static_cast<float>(dot));
  }
  return logits;
}

class OffGraphSession : public ::testing::Test {
 protected:
  std::vector<float> after(runtime::Session& session, size_t begin, size_t n) {
    const auto logits = session.step(std::span(tokens_).subspan(begin, n));
    EXPECT_TRUE(logits) << logits.error().message;
    return logits ? std::vector<float>(logits->begin(), logits->end()) : std::vector<float>();
  }
  void expect_brute_force(std::span<const float> got, size_t n_tokens) {
    EXPECT_LT(relative_error(got, brute_force({tokens_.begin(), tokens_.begin() + static_cast<int>(n_tokens)})), 1e-2)
        << "after " << n_tokens << " tokens";
  }
  const std::vector<int32_t> tokens_ = {3, 14, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9};
  std::shared_ptr<const runtime::Model> model_ = make_model(make_program(), {.n_threads = 2});
};

TEST_F(OffGraphSession, StepsOfAnySizeSeeWhatBruteForceSees) {
  EXPECT_EQ(model_->max_tokens_per_step(), kMaxWrite);  // what the ring takes, although the program takes more
  EXPECT_EQ(model_->context_length(), kContext);
  const auto session = make_session(model_);
  size_t at = 0;
  for (const size_t n : {7, 1, 2, 1, 1}) {  // the first is cut into 3, 3 and 1
    const auto logits = after(*session, at, n);
    at += n;
    expect_brute_force(logits, at);
  }
  EXPECT_EQ(session->position(), kContext);
}

TEST_F(OffGraphSession, ResetForgetsTheCache) {
  const auto session = make_session(model_);
  const auto first = after(*session, 0, 5);
  after(*session, 5, 4);
  session->reset();
  EXPECT_EQ(after(*session, 0, 5), first);
}

TEST_F(OffGraphSession, SessionsHaveCachesOfTheirOwn) {
  const auto a = make_session(model_), b = make_session(model_);
  after(*a, 0, 4);
  after(*b, 6, 3);
  expect_brute_force(after(*a, 4, 2), 6);
}

TEST_F(OffGraphSession, AFullContextIsAnErrorThatChangesNothing) {
  const auto session = make_session(model_);
  after(*session, 0, 10);
  const auto too_many = session->step(std::span(tokens_).first(3));
  ASSERT_FALSE(too_many);
  EXPECT_NE(too_many.error().message.find("context of 12"), std::string::npos) << too_many.error().message;
  expect_brute_force(after(*session, 10, 2), 12);
}

TEST_F(OffGraphSession, AProgramThatDoesNotDescribeItsCacheIsRefused) {
  auto program = make_program();
  program.constant_methods.erase("get_windows");
  const auto model = runtime::Model::create(std::move(program), {.n_threads = 1});
  ASSERT_FALSE(model);
  EXPECT_NE(model.error().message.find("get_windows"), std::string::npos) << model.error().message;
}

}  // namespace
}  // namespace tessera
