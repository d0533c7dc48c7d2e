#include "compile/temp_slots.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "test_util.h"

namespace tessera::compile {
namespace {

using program::Add;
using program::Chain;
using program::If;
using program::Neg;
using program::Out;
using program::Tid;

constexpr uint32_t kFirst = 100;  // temporaries are 100, 101, ...; anything below is something else

program::Node neg(uint32_t x, uint32_t out) { return Neg{.x = {x}, .out = {{out}}}; }
program::Node add(uint32_t a, uint32_t b, uint32_t out) { return Add{.a = {a}, .b = {b}, .out = {{out}}}; }

std::vector<uint32_t> assign(std::vector<Chain> chains, uint32_t n) { return assign_temp_slots(chains, 0, kFirst, n); }

TEST(TempSlots, AChainNeedsTwo) {
  const Chain chain = {neg(0, 100), neg(100, 101), neg(101, 102), neg(102, 103), neg(103, 1)};
  EXPECT_EQ(assign({chain}, 4), (std::vector<uint32_t>{0, 1, 0, 1}));
}

TEST(TempSlots, AnInstructionNeverReadsAndWritesOneSlot) {
  const Chain chain = {neg(0, 100), neg(0, 101), add(100, 101, 102), neg(102, 1)};
  EXPECT_EQ(assign({chain}, 3), (std::vector<uint32_t>{0, 1, 2}));
}

TEST(TempSlots, AValueThatLivesOnKeepsItsSlot) {
  const Chain chain = {neg(0, 100), neg(0, 101), neg(101, 102), neg(102, 103), add(100, 103, 1)};
  EXPECT_EQ(assign({chain}, 4), (std::vector<uint32_t>{0, 1, 2, 1}));
}

TEST(TempSlots, TheChainsOfAnIfShareAndDoNotClobber) {
  const Chain main = {neg(0, 100), If{.cond = 1, .then_chain_idx = 1, .else_chain_idx = 2}, add(100, 101, 1)};
  const Chain then_chain = {neg(100, 102), neg(102, 101)};
  const Chain else_chain = {neg(100, 103), neg(103, 101)};
  const auto slots = assign({main, then_chain, else_chain}, 4);
  EXPECT_EQ(slots[0], 0u);
  EXPECT_NE(slots[1], slots[0]) << "both are read after the If";
  EXPECT_NE(slots[2], slots[0]) << "100 is read again after the If";
  EXPECT_NE(slots[2], slots[1]) << "the branch reads one while it writes the other";
  EXPECT_NE(slots[3], slots[1]);
}

TEST(TempSlots, ATemporaryNobodyNamesTakesNoSlot) {
  EXPECT_EQ(assign({{neg(0, 101), neg(101, 1)}}, 3), (std::vector<uint32_t>{0, 0, 0}));
}

// A random straight program means the same before and after: reads find the value that was written for them.
TEST(TempSlots, RandomProgramsKeepTheirMeaning) {
  auto rng = testing::fresh_rng();
  for (int round = 0; round < 200; ++round) {
    const uint32_t n = 1 + static_cast<uint32_t>(rng() % 40);
    Chain chain;
    for (uint32_t i = 0; i < n; ++i) {
      const auto pick = [&] { return i == 0 ? 0u : kFirst + static_cast<uint32_t>(rng() % i); };
      chain.push_back(add(pick(), pick(), kFirst + i));
    }
    const auto slots = assign({chain}, n);
    std::vector<uint32_t> holds(n, UINT32_MAX);  // the temporary each slot holds now
    for (uint32_t i = 0; i < n; ++i) {
      const auto& node = std::get<Add>(chain[i]);
      for (Tid read : {node.a, node.b}) {
        if (read.idx < kFirst) continue;
        ASSERT_EQ(holds[slots[read.idx - kFirst]], read.idx - kFirst);
        ASSERT_NE(slots[read.idx - kFirst], slots[i]);
      }
      holds[slots[i]] = i;
    }
  }
}

}  // namespace
}  // namespace tessera::compile
