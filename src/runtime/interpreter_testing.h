// A program without instructions whose slots tests fill by hand, and nodes run on it one at a time.
#pragma once

#include <set>
#include <utility>

#include "ops/ops_testing.h"
#include "runtime/interpreter.h"

namespace tessera::runtime::testing {

// Tensor slots: 4 constants, 1 input, 1 output, 2 mutable buffers, temporaries. tensor() and value() hand out fresh
// temporaries, out() the slot results go to.
class Machine {
 public:
  static constexpr uint32_t kConstants = 4, kTemps = 40, kValues = 20;

  Machine() : program_(make_program()), slots_(program_) {}

  program::Tid tensor(const ops::Tensor& tensor) {
    const program::Tid tid{first_temp() + next_tensor_++};
    EXPECT_TRUE(slots_.set(tid, tensor).has_value());
    return tid;
  }
  program::Vid value(Value value) {
    const program::Vid vid{next_value_++};
    EXPECT_TRUE(slots_.set(vid, value).has_value());
    return vid;
  }
  program::Out out(uint32_t i = 0) const { return {{first_temp() + kTemps - 1 - i}}; }
  program::VidOut value_out() const { return {{kValues - 1}}; }
  static program::Tid constant() { return {0}; }
  static program::Tid mutable_buffer() { return {kConstants + 2}; }

  ExecutionContext context(bool init_chain = false) {
    return {program_, slots_, nullptr, reference_kernels(), init_chain, cache};
  }
  Status execute(const program::Node& node, bool init_chain = false) {
    executed.insert(node.index());
    ExecutionContext context = this->context(init_chain);
    return runtime::execute(node, context);
  }
  // Runs a node that writes out() or out(i).
  Result<ops::Tensor> run(const program::Node& node, uint32_t i = 0) {
    TRY(execute(node));
    return slots_.get(out(i));
  }
  Result<int32_t> run_int(const program::Node& node) {
    TRY(execute(node));
    return slots_.get_int(value_out());
  }
  uint32_t add_chain(program::Chain chain) {
    program_.chains.push_back(std::move(chain));
    return static_cast<uint32_t>(program_.chains.size() - 1);
  }

  program::Program& program() { return program_; }
  Slots& slots() { return slots_; }
  OffGraphCache* cache = nullptr;
  std::set<size_t> executed;  // variant indices of the nodes run

 private:
  static program::Program make_program() {
    program::Program program;
    program.n_constants = kConstants;
    program.n_inputs = program.n_outputs = 1;
    program.n_mutable = 2;
    program.n_temps = kTemps;
    program.n_values = kValues;
    program.chains.resize(1);
    return program;
  }
  uint32_t first_temp() const { return program_.n_tensors() - kTemps; }

  program::Program program_;
  Slots slots_;
  uint32_t next_tensor_ = 0, next_value_ = 0;
};

}  // namespace tessera::runtime::testing
