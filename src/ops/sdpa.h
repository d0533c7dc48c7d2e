// Scaled dot-product attention: plain loops in double, one rounding at the end.
#pragma once

#include <cstdint>

#include "ops/tensor.h"

namespace tessera::ops {

// q (B, Hq, Tq, D), k (B, Hk, Tk, D), v (B, Hk, Tk, Dv) -> (B, Hq, Tq, Dv); query head h reads kv head h / (Hq / Hk).
// softmax(q k^T scale + mask) v in the promoted dtype of q, k, v. `causal` is lower-right aligned: query i sees key j
// when j <= i + Tk - Tq. A mask broadcasts to (B, Hq, Tq, Tk): bool says "attend" - a refused score becomes the lowest
// finite value, so a row without any key is uniform - anything else is cast to q's dtype and added.
// Errors: causal together with a mask, among the shape checks.
Result<Tensor> sdpa(const Tensor& q, const Tensor& k, const Tensor& v, float scale, const Tensor* mask, bool causal);

// The same over a cache in logical order: keys and values (1, Hk, S, D) of positions [0, S), of which the queries are
// the last T. Each sees itself and at most window - 1 positions before it; window 0 is unlimited. The yardstick of
// every fused attention, flat or ring.
Result<Tensor> sliding_attention(const Tensor& q, const Tensor& k, const Tensor& v, float scale, int64_t window);

}  // namespace tessera::ops
