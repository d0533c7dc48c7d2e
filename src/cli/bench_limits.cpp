#include "cli/bench_limits.h"

#include <algorithm>

#include "cli/command.h"

namespace tessera::cli {

void Samples::put(nlohmann::json& to, const std::string& name) const {
  std::vector<double> sorted = values_;
  std::sort(sorted.begin(), sorted.end());
  to[name] = sorted[sorted.size() / 2];
  to[name + "_best"] = sorted.back();
  to[name + "_worst"] = sorted.front();
}

Limits::Limits(const LoadedModel& loaded) : loaded_(loaded) {
  if (!loaded.device) read_.emplace(loaded.model->pool(), loaded.model->isa());
}

double Limits::read_gb_s() {
  const double now = read_ ? read_->gb_s() : need(runtime::read_gb_s(loaded_.device->gpu()));
  read_gb_s_.add(now);
  return now;
}

double Limits::peak_gop_s(const runtime::LinearOps& ops) {
  if (loaded_.device) return 0;
  ThreadPool& pool = loaded_.model->pool();
  const kernels::cpu::Isa isa = loaded_.model->isa();
  const double int8 = kernels::cpu::int8_gop_s(pool, isa), f32 = kernels::cpu::f32_gflop_s(pool, isa);
  int8_gop_s_.add(int8);
  f32_gflop_s_.add(f32);
  if (ops.all() == 0) return int8;
  return static_cast<double>(ops.all()) / (static_cast<double>(ops.int8) / int8 + static_cast<double>(ops.f32) / f32);
}

nlohmann::json Limits::all() const {
  nlohmann::json out;
  read_gb_s_.put(out, "read_gb_s");
  if (!int8_gop_s_.empty()) int8_gop_s_.put(out, "int8_gop_s");
  if (!f32_gflop_s_.empty()) f32_gflop_s_.put(out, "f32_gflop_s");
  return out;
}

}  // namespace tessera::cli
