// Program's own questions, the def-use helpers, the printer and the hints.
#include "program/program.h"

#include <gtest/gtest.h>

#include <set>

#include "program/def_use.h"
#include "program/hints.h"
#include "program/printer.h"
#include "program/random_testing.h"
#include "program/sample_testing.h"

namespace tessera::program {
namespace {

using testing::sample_program;

TEST(Program, KindsFollowTheRanges) {
  const Program program = sample_program();
  const TensorKind expected[] = {TensorKind::kConstant, TensorKind::kConstant, TensorKind::kConstant,
                                 TensorKind::kInput,    TensorKind::kOutput,   TensorKind::kMutable,
                                 TensorKind::kTemp,     TensorKind::kTemp};
  for (uint32_t i = 0; i < program.n_tensors(); ++i) EXPECT_EQ(program.kind_of({i}), expected[i]) << i;
}

TEST(Program, TheLastNameOfASlotCounts) {
  Program program = sample_program();
  EXPECT_EQ(program.name_of({5}), "state");
  program.named_slots.push_back({"other", {5, SlotType::kTensor}});
  program.named_slots.push_back({"a value", {5, SlotType::kInt}});
  EXPECT_EQ(program.name_of({5}), "other");
  EXPECT_EQ(program.name_of({6}), "");
}

TEST(Program, ConstantMethodsAnswerByType) {
  const Program program = sample_program();
  EXPECT_EQ(program.int_constant("get_max_seq_len"), 4096);
  EXPECT_EQ(program.int_constant("get_scale"), std::nullopt);
  EXPECT_EQ(program.int_constant("get_nothing"), std::nullopt);
  EXPECT_EQ(program.find_data("nothing"), nullptr);
}

// --- Def-use. ---

struct Slots {
  std::vector<uint32_t> uses, defs, value_uses, value_defs;
  bool operator==(const Slots&) const = default;
};

Slots slots_of(const Node& node) {
  Slots out;
  for_each_use(node, [&](Tid tid) { out.uses.push_back(tid.idx); });
  for_each_def(node, [&](Tid tid) { out.defs.push_back(tid.idx); });
  for_each_value_use(node, [&](Vid vid) { out.value_uses.push_back(vid.idx); });
  for_each_value_def(node, [&](Vid vid) { out.value_defs.push_back(vid.idx); });
  return out;
}

TEST(DefUse, FollowsTheTypesOfFields) {
  EXPECT_EQ(slots_of(Add{Tid{1}, Tid{2}, {{3}}}), (Slots{{1, 2}, {3}, {}, {}}));
  EXPECT_EQ(slots_of(SymSize{Tid{1}, 0, {{2}}}), (Slots{{1}, {}, {}, {2}}));
  EXPECT_EQ(slots_of(AddInt{IntOrVid(Vid{4}), IntOrVid(9), {{5}}}), (Slots{{}, {}, {4}, {5}}));
  EXPECT_EQ(slots_of(Take{Tid{1}, {{2}}, Tid{3}, 0}), (Slots{{1, 3}, {2}, {}, {}}));
  EXPECT_EQ(slots_of(Take{Tid{1}, {{2}}, Vid{3}, 0}), (Slots{{1}, {2}, {3}, {}}));
  EXPECT_EQ(slots_of(Take{Tid{1}, {{2}}, 3, 0}), (Slots{{1}, {2}, {}, {}}));
  EXPECT_EQ(slots_of(Split{Tid{1}, {{{2}}, {{3}}}, {IntOrVid(Vid{0}), IntOrVid(4)}, 0}), (Slots{{1}, {2, 3}, {0}, {}}));
  Rope rope;
  rope.x = Tid{1};
  rope.out = {{2}};
  rope.offset = Tid{3};
  EXPECT_EQ(slots_of(rope), (Slots{{1, 3}, {2}, {}, {}}));
  rope.offset = Vid{3};
  rope.freqs = Tid{4};
  EXPECT_EQ(slots_of(rope), (Slots{{1, 4}, {2}, {3}, {}}));
}

TEST(DefUse, NamesTheChainsOfIfAndScan) {
  const auto chains = [](const Node& node) {
    std::vector<uint32_t> out;
    for_each_chain(node, [&](uint32_t chain) { out.push_back(chain); });
    return out;
  };
  EXPECT_EQ(chains(If{IntOrVid(0), 3, 5}), (std::vector<uint32_t>{3, 5}));
  EXPECT_EQ(chains(Scan{{}, {}, {}, {}, 7, 0}), std::vector<uint32_t>{7});
  EXPECT_TRUE(chains(Noop{}).empty());
}

TEST(DefUse, RenumbersEverySlot) {
  auto rng = tessera::testing::fresh_rng();
  testing::Randomiser random(rng);
  for (size_t kind = 0; kind < std::variant_size_v<NodeVariant>; ++kind) {
    Node node = random.node(kind);
    const Slots before = slots_of(node);
    for_each_slot(node, [](SlotRole, uint32_t& idx) { idx += 5000; });
    const Slots after = slots_of(node);
    const auto shifted = [](std::vector<uint32_t> list) {
      for (uint32_t& idx : list) idx += 5000;
      return list;
    };
    EXPECT_EQ(after.uses, shifted(before.uses)) << name_of(node);
    EXPECT_EQ(after.defs, shifted(before.defs)) << name_of(node);
    EXPECT_EQ(after.value_uses, shifted(before.value_uses)) << name_of(node);
    EXPECT_EQ(after.value_defs, shifted(before.value_defs)) << name_of(node);
  }
}

// --- Text. ---

TEST(Printer, OneLinePerInstruction) {
  EXPECT_EQ(to_text(Node(Noop{})), "Noop");
  EXPECT_EQ(to_text(Node(Take{Tid{1}, {{2}}, Vid{3}, -1})), "Take x=%1 out=%2 index=$3 axis=-1");
  EXPECT_EQ(to_text(Node(AsType{Tid{1}, {{2}}, DType::kBF16})), "AsType x=%1 out=%2 scalar_type=bf16");
  EXPECT_EQ(to_text(Node(Full{{{2}}, {IntOrVid(Vid{0}), IntOrVid(4)}, 0.5, DType{22}})),
            "Full out=%2 shape=[$0, 4] v=0.5 scalar_type=dtype(22)");
  RMSNorm norm{Tid{1}, std::nullopt, {{2}}, 1e-6f};
  EXPECT_EQ(to_text(Node(norm)), "RMSNorm x=%1 out=%2 eps=1e-06");
  norm.weight = Tid{7};
  EXPECT_EQ(to_text(Node(norm)), "RMSNorm x=%1 weight=%7 out=%2 eps=1e-06");
}

TEST(Printer, CutsLongStrings) {
  const std::string text = to_text(sample_program().chains[1][0]);
  EXPECT_NE(text.find("name=\"gguf_q6k_matvec\""), std::string::npos) << text;
  EXPECT_NE(text.find("sss...\" (500 bytes)"), std::string::npos) << text;
  EXPECT_EQ(text.find('\n'), std::string::npos);
}

TEST(Printer, ShowsSlotsAndChains) {
  const std::string text = to_text(sample_program());
  for (const auto* part : {"3 constants, 1 inputs", "%0 constant u8[420] weight", "%3 input f32[0..8, 4] x",
                           "%5 mutable bf16[2, 4] state", "chain 0 (main):", "chain 3 (init):", "If cond=$1"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
  }
}

// --- Hints. ---

Hints sample_hints() {
  Hints hints;
  AttentionHint full{.begin = 3,
                     .end = 40,
                     .q = {1},
                     .k = Tid{2},
                     .v = Tid{2},
                     .q_norm = {4},
                     .k_norm = Tid{5},
                     .k_cache = {6},
                     .v_cache = {7},
                     .out = {8},
                     .start = {0},
                     .n_heads = 8,
                     .n_kv_heads = 2,
                     .head_dim = 64,
                     .window = 0,
                     .eps = 1e-6f,
                     .scale = 1,
                     .rope_base = 1e6f,
                     .rope_periods = Tid{9}};
  AttentionHint sharing = full;
  sharing.k = sharing.v = sharing.k_norm = sharing.rope_periods = std::nullopt;
  sharing.window = 512;
  AttentionHint compressed = full;
  compressed.compressed = {.k_norms = {10}, .v_norms = {11}, .rotation = {12}, .boundaries = {13}, .centroids = {14}};
  hints.attention = {full, sharing, compressed};
  hints.last_token_take = 0;
  return hints;
}

TEST(Hints, RoundTrip) {
  const auto back = decode_hints(encode(sample_hints()));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(*back, sample_hints());
  const auto empty = decode_hints(encode(Hints()));
  ASSERT_TRUE(empty) << empty.error().message;
  EXPECT_EQ(*empty, Hints());
}

TEST(Hints, DamageIsAnErrorOrOtherHints) {
  auto rng = tessera::testing::fresh_rng();
  const auto good = encode(sample_hints());
  for (size_t size = 0; size < good.size(); ++size) {
    const std::vector<std::byte> part(good.begin(), good.begin() + static_cast<ptrdiff_t>(size));
    static_cast<void>(decode_hints(part).has_value());
  }
  for (size_t at = 0; at < good.size(); ++at) {
    auto bytes = good;
    bytes[at] ^= static_cast<std::byte>(1 + rng() % 255);
    const auto result = decode_hints(bytes);
    if (!result) {
      EXPECT_TRUE(result.error().message.starts_with(kHintsKey));
    }
  }
  ASSERT_FALSE(decode_hints({}));
}

}  // namespace
}  // namespace tessera::program
