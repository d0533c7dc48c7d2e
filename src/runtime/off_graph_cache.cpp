#include "runtime/off_graph_cache.h"

#include <algorithm>

#include "base/checked_math.h"
#include "ops/cast.h"
#include "ops/checks.h"
#include "ops/strided.h"

namespace tessera::runtime {
namespace {

using ops::Layout;
using ops::Tensor;

// n entries of a (n_heads, entries, head_dim) tensor from one place to another.
void copy_entries(const Tensor& from, int64_t from_entry, Tensor& to, int64_t to_entry, int64_t n) {
  const int64_t width = from.shape.back();
  const auto at = [&](const Tensor& x, int64_t entry) {
    return ops::advance(ops::layout_of(x), entry * width, x.dtype);
  };
  ops::copy_strided(from.dtype, {from.shape[0], n, width}, at(from, from_entry), at(to, to_entry));
}

// The runs of positions [begin, end) in a ring of n_slots: f(slot, offset from begin, length). At most two when the
// range is no longer than the ring.
template <typename F>
void for_each_run(int64_t begin, int64_t end, int64_t n_slots, F&& f) {
  for (int64_t position = begin; position < end;) {
    const int64_t slot = position % n_slots;
    const int64_t n = std::min(end - position, n_slots - slot);
    f(slot, position - begin, n);
    position += n;
  }
}

// bool (1, 1, T, S): query i, at key i + S - T, sees itself and window - 1 positions before it.
Result<Tensor> window_mask(int64_t n_queries, int64_t n_keys, int64_t window) {
  Tensor mask = TRY(Tensor::allocate(DType::kBool, {1, 1, n_queries, n_keys}));
  for (int64_t i = 0; i < n_queries; ++i)
    for (int64_t j = 0; j < n_keys; ++j) {
      const int64_t ahead = j - i, self = n_keys - n_queries;
      mask.as<bool>()[i * n_keys + j] = ahead <= self && ahead >= self - window + 1;
    }
  return mask;
}

Status check_layer(const OffGraphCache::Layer& layer, size_t index) {
  if (layer.window >= 0 && layer.n_kv_heads > 0 && layer.head_dim > 0) return {};
  return invalid_argument("cache layer {}: window {}, {} kv heads of {}", index, layer.window, layer.n_kv_heads,
                          layer.head_dim);
}

}  // namespace

Result<OffGraphCache> OffGraphCache::create(const Config& config) {
  if (config.capacity <= 0 || config.n_layers <= 0 || config.initial_capacity < 0)
    return invalid_argument("a cache of {} tokens (at first {}) and {} layers", config.capacity,
                            config.initial_capacity, config.n_layers);
  if (!is_float(config.kv_dtype)) return invalid_argument("a cache of {}", name_of(config.kv_dtype));
  if (config.max_write && *config.max_write <= 0) return invalid_argument("max_write of {}", *config.max_write);
  const auto n_layers = static_cast<size_t>(config.n_layers);
  if (config.layers.size() != 1 && config.layers.size() != n_layers)
    return invalid_argument("{} layer descriptions for {} layers", config.layers.size(), n_layers);
  OffGraphCache cache;
  cache.capacity_ = config.capacity;
  cache.dtype_ = config.kv_dtype;
  for (size_t i = 0; i < n_layers; ++i) {
    LayerState layer;
    layer.geometry = config.layers[config.layers.size() == 1 ? 0 : i];
    TRY(check_layer(layer.geometry, i));
    const int64_t window = layer.geometry.window;
    layer.max_write = window == 0 ? config.capacity : config.max_write.value_or(window);
    const auto ring = checked_add(window, layer.max_write - 1);
    if (!ring) return invalid_argument("cache layer {}: a window of {} with writes of {}", i, window, layer.max_write);
    TRY(cache.reserve(layer, window == 0 ? std::min(config.initial_capacity, config.capacity) : *ring));
    cache.layers_.push_back(std::move(layer));
  }
  return cache;
}

// Storage for n_positions, what is there copied over. The new storage is complete before the old one goes.
Status OffGraphCache::reserve(LayerState& layer, int64_t n_positions) {
  const Shape shape{layer.geometry.n_kv_heads, n_positions, layer.geometry.head_dim};
  Tensor k = TRY(Tensor::zeroed(dtype_, shape));
  Tensor v = TRY(Tensor::zeroed(dtype_, shape));
  if (layer.slots > 0) {
    copy_entries(layer.k, 0, k, 0, layer.slots);
    copy_entries(layer.v, 0, v, 0, layer.slots);
  }
  layer.k = std::move(k);
  layer.v = std::move(v);
  layer.slots = n_positions;
  return {};
}

Status OffGraphCache::check_step(const LayerState& layer, int64_t position, const Tensor& k, const Tensor& v) const {
  TRY(ops::check_rank(k, 4, "k"));
  const int64_t n_tokens = k.shape[2];
  const Shape expected{1, layer.geometry.n_kv_heads, n_tokens, layer.geometry.head_dim};
  for (const Tensor* x : {&k, &v}) {
    TRY(ops::check_float(*x, "k and v"));
    TRY(ops::check_shape(*x, expected, "k and v"));
  }
  if (n_tokens == 0) return invalid_argument("a cache step of no tokens");
  if (position < 0 || position > capacity_ - n_tokens)
    return make_error(ErrorCode::kOutOfRange, "{} tokens at position {} do not fit a cache of {}", n_tokens, position,
                      capacity_);
  if (position > layer.end)
    return make_error(ErrorCode::kOutOfRange, "position {} leaves a gap: the layer holds {}", position, layer.end);
  const int64_t window = layer.geometry.window;
  if (window == 0) return {};
  if (n_tokens > layer.max_write)
    return make_error(ErrorCode::kOutOfRange, "{} tokens in one step, the ring takes {}", n_tokens, layer.max_write);
  const int64_t oldest_read = std::max<int64_t>(0, position - window + 1);
  if (oldest_read < layer.oldest)
    return make_error(ErrorCode::kOutOfRange, "the ring has evicted position {}; it holds {} and later", oldest_read,
                      layer.oldest);
  return {};
}

Result<OffGraphCache::View> OffGraphCache::update(int64_t layer_index, int64_t position, const Tensor& k,
                                                  const Tensor& v) {
  if (layer_index < 0 || layer_index >= static_cast<int64_t>(layers_.size()))
    return make_error(ErrorCode::kOutOfRange, "cache layer {} of {}", layer_index, layers_.size());
  LayerState& layer = layers_[static_cast<size_t>(layer_index)];
  TRY(check_step(layer, position, k, v));
  const int64_t n_tokens = k.shape[2], end = position + n_tokens, window = layer.geometry.window;
  const Shape entries{layer.geometry.n_kv_heads, n_tokens, layer.geometry.head_dim};
  const Tensor new_k = TRY(ops::cast(k.reshaped(entries), dtype_));
  const Tensor new_v = TRY(ops::cast(v.reshaped(entries), dtype_));
  if (end > layer.slots && window == 0) TRY(reserve(layer, std::min(capacity_, std::max(end, 2 * layer.slots))));

  const int64_t begin = window == 0 ? 0 : std::max<int64_t>(0, position - window + 1), span = end - begin;
  const Shape seen{layer.geometry.n_kv_heads, span, layer.geometry.head_dim};
  View view{TRY(Tensor::allocate(dtype_, seen)), TRY(Tensor::allocate(dtype_, seen)), n_tokens > 1, std::nullopt};
  if (n_tokens > 1 && window > 0 && window < span) {
    view.causal = false;
    view.mask = TRY(window_mask(n_tokens, span, window));
  }
  for_each_run(position, end, layer.slots, [&](int64_t slot, int64_t offset, int64_t n) {
    copy_entries(new_k, offset, layer.k, slot, n);
    copy_entries(new_v, offset, layer.v, slot, n);
  });
  for_each_run(begin, end, layer.slots, [&](int64_t slot, int64_t offset, int64_t n) {
    copy_entries(layer.k, slot, view.k, offset, n);
    copy_entries(layer.v, slot, view.v, offset, n);
  });
  layer.end = std::max(layer.end, end);
  if (window > 0) layer.oldest = std::max(layer.oldest, layer.end - layer.slots);
  length_ = std::max(length_, end);
  const Shape out{1, seen[0], seen[1], seen[2]};
  view.k = view.k.reshaped(out);
  view.v = view.v.reshaped(out);
  return view;
}

Status OffGraphCache::rewind(int64_t length) {
  if (length < 0 || length > length_)
    return make_error(ErrorCode::kOutOfRange, "rewinding a cache of {} to {}", length_, length);
  for (const LayerState& layer : layers_) {
    const int64_t needed = std::max<int64_t>(0, length - layer.geometry.window + 1);
    if (layer.geometry.window > 0 && needed < layer.oldest)
      return make_error(ErrorCode::kOutOfRange, "rewinding to {} needs position {}, which a ring has evicted", length,
                        needed);
  }
  for (LayerState& layer : layers_) layer.end = std::min(layer.end, length);
  length_ = length;
  return {};
}

void OffGraphCache::clear() {
  for (LayerState& layer : layers_) layer.end = layer.oldest = 0;
  length_ = 0;
}

}  // namespace tessera::runtime
