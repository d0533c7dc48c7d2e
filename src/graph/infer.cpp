// Shape rules of all ops: one function each, chosen by overload.
#include "graph/graph.h"

namespace tessera::graph {
namespace {

struct Context {
  std::string_view op;
  std::span<const Type> inputs;
  std::span<const Cache> caches;

  const Type& operator[](size_t i) const { return inputs[i]; }
  size_t size() const { return inputs.size(); }

  template <typename... Args>
  Error wrong(fmt::format_string<Args...> format, Args&&... args) const {
    return invalid_argument("{}: {}", op, fmt::format(format, std::forward<Args>(args)...));
  }
  Status arity(size_t least, size_t most) const {
    if (inputs.size() >= least && inputs.size() <= most) return {};
    return wrong("expected {} to {} inputs, found {}", least, most, inputs.size());
  }
  Status floats(size_t i, int least_rank) const {
    if (is_float(inputs[i].dtype) && inputs[i].shape.rank() >= least_rank) return {};
    return wrong("input {} must be a float tensor of rank >= {}, found {}", i, least_rank, to_string(inputs[i]));
  }
  Status equal(size_t i, const Type& expected) const {
    if (inputs[i] == expected) return {};
    return wrong("input {} must be {}, found {}", i, to_string(expected), to_string(inputs[i]));
  }
};

Shape with_last(const Shape& shape, int64_t last) {
  Shape out = shape;
  out[out.rank() - 1] = last;
  return out;
}

Result<Type> rule(const Embedding&, const Context& in) {
  TRY(in.arity(2, 2));
  TRY(in.floats(0, 2));
  TRY(in.equal(1, {DType::kI64, {1, kTokens}}));
  return Type{in[0].dtype, {1, kTokens, in[0].shape.back()}};
}

Result<Type> rule(const Linear&, const Context& in) {
  TRY(in.arity(2, 2));
  TRY(in.floats(0, 2));
  TRY(in.floats(1, 2));
  TRY(in.equal(1, {in[0].dtype, {in[1].shape[0], in[0].shape.back()}}));
  return Type{in[0].dtype, with_last(in[0].shape, in[1].shape[0])};
}

Result<Type> rule(const RmsNorm&, const Context& in) {
  TRY(in.arity(1, 2));
  TRY(in.floats(0, 1));
  if (in.size() == 2) TRY(in.equal(1, {in[0].dtype, {in[0].shape.back()}}));
  return in[0];
}

Result<Type> rule(const SplitHeads& op, const Context& in) {
  TRY(in.arity(1, 1));
  TRY(in.floats(0, 3));
  if (op.n_heads <= 0 || in[0].shape.rank() != 3 || in[0].shape.back() % op.n_heads != 0)
    return in.wrong("{} does not split into {} heads", to_string(in[0]), op.n_heads);
  return Type{in[0].dtype, {1, kTokens, op.n_heads, in[0].shape.back() / op.n_heads}};
}

Result<Type> rule(const Attention& op, const Context& in) {
  const size_t fixed = op.rope_periods ? 3 : 2;  // q, positions, periods; then k and v or neither
  if (in.size() != fixed && in.size() != fixed + 2)
    return in.wrong("expected {} or {} inputs, found {}", fixed, fixed + 2, in.size());
  if (op.cache.index < 0 || static_cast<size_t>(op.cache.index) >= in.caches.size())
    return in.wrong("there is no cache {}", op.cache.index);
  const Cache& cache = in.caches[static_cast<size_t>(op.cache.index)];
  TRY(in.floats(0, 4));
  const int64_t n_heads = in[0].shape[2];
  TRY(in.equal(0, {in[0].dtype, {1, kTokens, n_heads, cache.head_dim}}));
  if (n_heads % cache.n_kv_heads != 0)
    return in.wrong("{} heads do not share {} KV heads evenly", n_heads, cache.n_kv_heads);
  TRY(in.equal(1, {DType::kI64, {kTokens}}));
  if (op.rope_periods) TRY(in.equal(2, {DType::kF32, {cache.head_dim / 2}}));
  for (size_t i = fixed; i < in.size(); ++i)
    TRY(in.equal(i, {in[0].dtype, {1, kTokens, cache.n_kv_heads, cache.head_dim}}));
  return Type{in[0].dtype, {1, kTokens, n_heads * cache.head_dim}};
}

Result<Type> elementwise(const Context& in) {
  TRY(in.arity(2, 2));
  TRY(in.floats(0, 0));
  const bool one_element = in[1].shape == Shape{} || in[1].shape == Shape{1};
  if (!one_element) TRY(in.equal(1, in[0]));
  if (in[1].dtype != in[0].dtype) return in.wrong("dtypes differ: {}, {}", to_string(in[0]), to_string(in[1]));
  return in[0];
}
Result<Type> rule(const Add&, const Context& in) { return elementwise(in); }
Result<Type> rule(const Mul&, const Context& in) { return elementwise(in); }

Result<Type> unary(const Context& in) {
  TRY(in.arity(1, 1));
  TRY(in.floats(0, 0));
  return in[0];
}
Result<Type> rule(const Gelu&, const Context& in) { return unary(in); }
Result<Type> rule(const Scale&, const Context& in) { return unary(in); }

Result<Type> rule(const SoftCap& op, const Context& in) {
  if (!(op.cap > 0)) return in.wrong("cap must be positive, found {}", op.cap);
  return unary(in);
}

Result<Type> rule(const Cast& op, const Context& in) {
  TRY(unary(in));
  if (!is_float(op.to)) return in.wrong("cannot cast to {}", tessera::name_of(op.to));
  return Type{op.to, in[0].shape};
}

Result<Type> rule(const TakeLast&, const Context& in) {
  TRY(in.arity(1, 1));
  TRY(in.floats(0, 3));
  if (in[0].shape != Shape{1, kTokens, in[0].shape.back()})
    return in.wrong("expected (1, T, D), found {}", to_string(in[0]));
  return Type{in[0].dtype, {1, in[0].shape.back()}};
}

}  // namespace

Result<Type> infer(const Op& op, std::span<const Type> inputs, std::span<const Cache> caches) {
  const Context context{name_of(op), inputs, caches};
  return std::visit([&](const auto& o) { return rule(o, context); }, op);
}

}  // namespace tessera::graph
