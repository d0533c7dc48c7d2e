// A program made ready to run on this machine: verified, planned, its constants bound. Shared by any number of
// sessions; each session owns its caches and its position. See session.h for stepping.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "program/program.h"
#include "runtime/linear_ops.h"
#include "runtime/off_graph_cache.h"
#include "runtime/plan.h"

namespace tessera::runtime {

struct ModelOptions {
  int n_threads = 0;        // 0: one per processor
  bool exact = false;       // f32 activations in the linears instead of int8
  bool all_logits = false;  // a step returns logits of every token, not only the last
  int64_t max_chunk = 0;    // most tokens of one step, when smaller than the program's own; 0: the program's
  std::vector<std::string> disabled_fusions;  // runtime/plan.h
};

class Model {
 public:
  // Errors: what program::verify finds; a program whose interface is not that of a language model (tokens i64 (1, T),
  // positions i64 (T) -> logits f32, or with temperature, top_k, top_p and seed -> a token); all_logits of a program
  // that gives none; a custom kernel nobody here implements.
  static Result<std::shared_ptr<const Model>> create(program::Program program, const ModelOptions& options);

  const program::Program& program() const { return program_; }
  const ModelOptions& options() const { return options_; }
  const Plan& plan() const { return plan_; }
  kernels::cpu::Isa isa() const { return isa_; }
  ThreadPool& pool() const { return *pool_; }
  // Slots with the constants bound and the init chain run: where every session starts from.
  const Slots& bound_slots() const { return slots_; }
  std::mutex& step_mutex() const { return step_mutex_; }

  // May a session at `position` be given these? Errors: none, an id outside the vocabulary, a full context.
  Status check_tokens(std::span<const int32_t> tokens, int64_t position) const;

  int64_t vocab_size() const { return vocab_size_; }
  // The program chooses the token itself: Session::sample() instead of step().
  bool samples() const { return samples_; }
  int64_t max_tokens_per_step() const { return max_tokens_per_step_; }
  int64_t context_length() const { return context_length_; }  // positions a session can hold
  int64_t cache_bytes() const { return cache_bytes_; }        // mutable buffers of one session
  // Of a program that keeps its cache outside the graph: the cache each session needs.
  const std::optional<OffGraphCache::Config>& cache_config() const { return cache_config_; }
  // Bytes of constants that one decode step reads: packed weights once, of an embedding table only a row.
  int64_t weight_bytes_per_token() const { return weight_bytes_per_token_; }
  // Bytes of keys and values that a token at `position` attends to, all layers together.
  int64_t cache_bytes_read(int64_t position) const;
  // Multiply-adds x 2 of all linears for one token of prefill (the head, which runs once per step, not counted).
  const LinearOps& ops_per_token() const { return ops_per_token_; }

 private:
  Model(program::Program program, ModelOptions options)
      : program_(std::move(program)), options_(std::move(options)), slots_(program_) {}
  Status check_interface();
  Status check_outputs();
  Status bind();
  void count_work();

  program::Program program_;
  ModelOptions options_;
  Plan plan_;
  kernels::cpu::Isa isa_{};
  std::unique_ptr<ThreadPool> pool_;
  Slots slots_;
  std::optional<OffGraphCache::Config> cache_config_;
  mutable std::mutex step_mutex_;
  bool samples_ = false;
  int64_t vocab_size_ = 0, max_tokens_per_step_ = 0, context_length_ = 0, cache_bytes_ = 0;
  int64_t weight_bytes_per_token_ = 0;
  LinearOps ops_per_token_;
};

}  // namespace tessera::runtime
