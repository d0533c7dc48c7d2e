// What the machine can do while a model runs on it, and how measurements spread.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "cli/model_file.h"
#include "kernels/cpu/limits.h"
#include "runtime/linear_ops.h"

namespace tessera::cli {

// Measurements of one thing.
class Samples {
 public:
  void add(double value) { values_.push_back(value); }
  bool empty() const { return values_.empty(); }
  // Sets `name` to the median, name_best and name_worst to the largest and the least.
  void put(nlohmann::json& to, const std::string& name) const;

 private:
  std::vector<double> values_;
};

// Each call measures anew: on a shared machine a limit holds for the seconds around it.
class Limits {
 public:
  explicit Limits(const LoadedModel& loaded);

  // 10^9 bytes a second from memory.
  double read_gb_s();
  // 10^9 operations a second of this mixture of int8 and f32; 0 on a GPU, whose peak is not measured here.
  double peak_gop_s(const runtime::LinearOps& ops);

  int64_t buffer_bytes() const { return read_ ? read_->buffer_bytes() : 0; }  // in this process's memory
  nlohmann::json all() const;

 private:
  const LoadedModel& loaded_;
  std::optional<kernels::cpu::ReadLimit> read_;  // of a CPU
  Samples read_gb_s_, int8_gop_s_, f32_gflop_s_;
};

}  // namespace tessera::cli
