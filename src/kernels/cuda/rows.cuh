// Work on rows between the linears, as the CPU's fused steps do it (runtime/steps/row_steps.cpp): rows are loaded to
// f32, computed there and rounded once. A norm can leave its result in the form the linears after it read, too.
// Reference: ops/norm.h.
#pragma once

#include "kernels/cuda/activations.cuh"

namespace tessera::kernels::cuda {

inline constexpr int kNormThreads = 768, kElementThreads = 256;

template <bool kIsWhole>
TESSERA_DEVICE void load_weights(Address weight, int first, int k, float (&w)[8]) {
  TESSERA_UNROLL
  for (int i = 0; i < 8; ++i) w[i] = 1;
  if (weight != 0) load_eight<kIsWhole>(weight, Element::kF32, 0, first, k, w);
}

// The part of a row that a thread keeps in registers: kRounds times eight values, kNormThreads apart.
template <int kRounds>
struct NormRow {
  float x[kRounds][8];
  TESSERA_DEVICE static int first(int round) { return 8 * (thread() + round * kNormThreads); }
  TESSERA_DEVICE float squares() const {
    float sum = 0;
    TESSERA_UNROLL
    for (int i = 0; i < 8 * kRounds; ++i) sum += x[i / 8][i % 8] * x[i / 8][i % 8];
    return sum;
  }
};

// In the form the linears after it read. stores: or only the instructions.
template <int kRounds>
TESSERA_DEVICE void make_form(const Activations& out, int64_t token, bool stores, const NormRow<kRounds>& row,
                              Shared<float> scratch) {
  if (out.form == Form::kInt8) {
    TESSERA_UNROLL
    for (int round = 0; round < kRounds; ++round)
      quantize_eight(out, token, row.first(round), stores && row.first(round) < out.k, row.x[round]);
    return;
  }
  float largest = 0;
  TESSERA_UNROLL
  for (int i = 0; i < 8 * kRounds; ++i) largest = max_of(largest, abs_of(row.x[i / 8][i % 8]));
  const PowerOfTwo scale(block_max(largest, kNormThreads / kWarp, scratch));
  if (!stores) return;
  if (thread() == 0) store_token_scale(out, token, scale);
  TESSERA_UNROLL
  for (int round = 0; round < kRounds; ++round)
    if (row.first(round) < tiled_values(out.k)) tile_eight(out, token, row.first(round), scale.factor, row.x[round]);
}

// What the rows of a launch share: everything but x and the residual.
template <int kRounds>
struct NormWeights {
  float branch[kRounds][8], next[kRounds][8];
};

// A block's row from x on: sum, next and its form. stores: or only the instructions.
template <bool kIsWhole, int kRounds>
TESSERA_DEVICE void finish_row(const NormArgs& a, bool stores, const NormWeights<kRounds>& weights,
                               const float (&residual)[kRounds][8], NormRow<kRounds>& row, Shared<float> scratch) {
  const int64_t start = int64_t{block_x()} * a.k;
  const auto factor_of = [&](float eps) {
    return inverse_sqrt(block_sum(row.squares(), kNormThreads / kWarp, scratch) / static_cast<float>(a.k) + eps);
  };
  const float factor = factor_of(a.branch_eps);
  TESSERA_UNROLL
  for (int round = 0; round < kRounds; ++round) {
    TESSERA_UNROLL
    for (int i = 0; i < 8; ++i) {
      float& x = row.x[round][i];
      x = x * factor * weights.branch[round][i];
      if (a.residual != 0) x = (residual[round][i] + x) * a.scale;
    }
    if (stores) store_eight<kIsWhole>(a.sum, a.element, start, row.first(round), a.k, row.x[round]);
  }
  if (a.next != 0) {
    const float next_factor = factor_of(a.next_eps);
    TESSERA_UNROLL
    for (int round = 0; round < kRounds; ++round) {
      TESSERA_UNROLL
      for (int i = 0; i < 8; ++i) row.x[round][i] = row.x[round][i] * next_factor * weights.next[round][i];
      if (stores) store_eight<kIsWhole>(a.next, a.element, start, row.first(round), a.k, row.x[round]);
    }
  }
  if (a.made.m == 0) return;
  TESSERA_UNROLL
  for (int i = 0; i < 8 * kRounds; ++i) row.x[i / 8][i % 8] = rounded(row.x[i / 8][i % 8], a.element);
  make_form(a.made, block_x(), stores, row, scratch);
}

struct NormWork {
  NormArgs args;
  bool is_early;  // begins long before the launch before it has ended
};

// A block per row: x, residual in; sum, next out, each once. With few rows the time is that of the memory's answers and
// of the instructions, which come from memory, too. So whatever does not depend on the launch before this one is asked
// for before that has ended, and where there is time all instructions are run once, on zeros. And where rows are whole,
// of a multiple of 8 values, their element is known when the kernel is compiled.
template <int kRounds, bool kIsWhole, Element kElement>
TESSERA_KERNEL(kNormThreads, 1)
norm_kernel(NormWork work) {
  NormArgs& a = work.args;
  if constexpr (kIsWhole) a.element = kElement;
  const auto scratch = cast<float>(shared_memory());
  let_next_start();
  const int64_t start = int64_t{block_x()} * a.k;
  const bool has_residual = a.residual != 0, is_there = has_residual && a.residual_is_there;
  if (is_there) fence();  // the cache may know an older one
  NormWeights<kRounds> weights = {};
  float residual[kRounds][8] = {};
  NormRow<kRounds> row = {};
  TESSERA_UNROLL
  for (int round = 0; round < kRounds; ++round) {
    const int first = row.first(round);
    load_weights<kIsWhole>(a.branch_weight, first, a.k, weights.branch[round]);
    if (a.next != 0) load_weights<kIsWhole>(a.next_weight, first, a.k, weights.next[round]);
    if (is_there) load_eight<kIsWhole>(a.residual, a.element, start, first, a.k, residual[round]);
  }
  TESSERA_LOOP
  for (int pass = work.is_early ? 0 : 1; pass < 2; ++pass) {
    if (pass == 1) {
      wait_for_previous();
      TESSERA_UNROLL
      for (int round = 0; round < kRounds; ++round) {
        const int first = row.first(round);
        load_eight<kIsWhole>(a.x, a.element, start, first, a.k, row.x[round]);
        if (has_residual && !is_there) load_eight<kIsWhole>(a.residual, a.element, start, first, a.k, residual[round]);
      }
    }
    finish_row<kIsWhole>(a, pass == 1, weights, residual, row, scratch);
  }
}

TESSERA_KERNEL(kElementThreads, 1) soft_cap_kernel(SoftCapArgs a) {
  let_next_start();
  wait_for_previous();
  const int64_t i = int64_t{block_x()} * kElementThreads + thread();
  if (i < a.n) global<float>(a.out)[i] = a.cap * tanh_of(load_float(a.x, a.element, i) / a.cap);
}

TESSERA_KERNEL(kElementThreads, 1) geglu_kernel(GegluArgs a) {
  let_next_start();
  wait_for_previous();
  const int64_t i = int64_t{block_x()} * kElementThreads + thread();
  if (i < a.n)
    store_float(a.out, a.out_element, i, gelu_tanh(load_float(a.gate, a.element, i)) * load_float(a.up, a.element, i));
}

template <bool kIsWhole, Element kElement>
int launch_norm(Device& device, const NormArgs& args, Failure* failure) {
  Launch shape;
  shape.threads = kNormThreads;
  shape.blocks.x = args.m;
  shape.shared_bytes = kNormThreads / kWarp * static_cast<int>(sizeof(float));
  constexpr int kRoundValues = 8 * kNormThreads;
  const NormWork work{args, args.m <= kFewTokens && leaves_room(device)};
  const auto launch_rounds = [&]<int rounds>() {
    return launch(device, shape, norm_kernel<rounds, kIsWhole, kElement>, work, failure);
  };
  if (args.k <= kRoundValues) return launch_rounds.template operator()<1>();
  if (args.k <= 2 * kRoundValues) return launch_rounds.template operator()<2>();
  if (args.k <= 4 * kRoundValues) return launch_rounds.template operator()<4>();
  static_assert(4 * kRoundValues == 24576);
  return fail(failure, "norm: rows of up to 24576 values");
}
inline int norm(Device& device, const NormArgs& args, Failure* failure) {
  if (args.made.m != 0 && (args.made.m != args.m || args.made.k != args.k || args.made.form == Form::kF32))
    return fail(failure, "norm: its result cannot be made in this form");
  if (args.k % 8 != 0) return launch_norm<false, Element::kF32>(device, args, failure);
  switch (args.element) {
    case Element::kF32:
      return launch_norm<true, Element::kF32>(device, args, failure);
    case Element::kF16:
      return launch_norm<true, Element::kF16>(device, args, failure);
    case Element::kBF16:
      return launch_norm<true, Element::kBF16>(device, args, failure);
  }
  return fail(failure, "norm: an unknown element");
}
inline int soft_cap(Device& device, const SoftCapArgs& args, Failure* failure) {
  Launch shape;
  shape.threads = kElementThreads;
  shape.blocks.x = pieces_of(args.n, kElementThreads);
  return launch(device, shape, soft_cap_kernel, args, failure);
}
inline int geglu(Device& device, const GegluArgs& args, Failure* failure) {
  Launch shape;
  shape.threads = kElementThreads;
  shape.blocks.x = pieces_of(args.n, kElementThreads);
  return launch(device, shape, geglu_kernel, args, failure);
}

}  // namespace tessera::kernels::cuda
