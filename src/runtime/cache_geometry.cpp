#include "runtime/cache_geometry.h"

#include <cstring>
#include <string_view>

namespace tessera::runtime {
namespace {

Result<int64_t> integer(const program::Program& program, std::string_view method) {
  const auto value = program.int_constant(method);
  if (value) return *value;
  return make_error(ErrorCode::kNotFound,
                    "the program keeps its cache outside the graph, but has no constant method {} that gives an "
                    "integer",
                    method);
}

// One int32 per cache.
Result<std::vector<int64_t>> integers(const program::Program& program, std::string_view method, int64_t n) {
  const auto found = program.constant_methods.find(method);
  const program::ConstantTensor* tensor = nullptr;
  if (found != program.constant_methods.end() && !found->second.empty())
    tensor = std::get_if<program::ConstantTensor>(&found->second[0]);
  if (!tensor || tensor->dtype != DType::kI32 || tensor->bytes.size() != static_cast<size_t>(n) * sizeof(int32_t))
    return invalid_format("constant method {}: expected an i32 tensor of {} caches", method, n);
  std::vector<int64_t> out;
  for (int64_t i = 0; i < n; ++i) {
    int32_t value = 0;
    std::memcpy(&value, tensor->bytes.data() + i * static_cast<int64_t>(sizeof(value)), sizeof(value));
    out.push_back(value);
  }
  return out;
}

}  // namespace

bool needs_off_graph_cache(const program::Program& program) {
  for (const program::Chain& chain : program.chains)
    for (const program::Node& node : chain)
      if (std::holds_alternative<program::UpdateAndAttend>(node)) return true;
  return false;
}

Result<OffGraphCache::Config> cache_config(const program::Program& program, std::optional<int64_t> capacity,
                                           DType kv_dtype) {
  constexpr int64_t kMaxCaches = 1'000'000;
  const int64_t n = TRY(integer(program, "get_n_caches"));
  if (n <= 0 || n > kMaxCaches) return invalid_format("constant method get_n_caches: {} caches", n);
  const auto heads = TRY(integers(program, "get_kv_heads", n)), dims = TRY(integers(program, "get_head_dims", n)),
             windows = TRY(integers(program, "get_windows", n));
  OffGraphCache::Config config{.capacity = capacity ? *capacity : TRY(integer(program, "get_max_ctx_len")),
                               .n_layers = n,
                               .layers = {},
                               .kv_dtype = kv_dtype,
                               .max_write = program.int_constant("get_prefill_chunk_size")};
  for (size_t i = 0; i < static_cast<size_t>(n); ++i) config.layers.push_back({windows[i], heads[i], dims[i]});
  return config;
}

}  // namespace tessera::runtime
