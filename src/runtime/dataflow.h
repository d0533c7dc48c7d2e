// Which instruction reads what another wrote: the main chain in single-assignment terms. Slots are variables that are
// written many times (temporaries are recycled), so a pattern like "the only reader of this RMSNorm is that Add" is a
// statement about *versions* of slots. An If counts as one instruction that reads and writes what its chains do.
#pragma once

#include <cstdint>
#include <vector>

#include "program/program.h"

namespace tessera::runtime {

class Dataflow {
 public:
  explicit Dataflow(const program::Program& program);

  // What one instruction touches. A version is the index of the write that produced it; kExternal for what was there
  // before the chain began (inputs, constants, mutable buffers).
  static constexpr int kExternal = -1;
  struct Use {
    uint32_t slot;
    int writer;  // instruction index, or kExternal
  };
  struct Access {
    std::vector<Use> reads;
    std::vector<uint32_t> writes;
    std::vector<uint32_t> value_reads, value_writes;
  };
  const Access& at(int instruction) const { return access_[static_cast<size_t>(instruction)]; }
  int size() const { return static_cast<int>(access_.size()); }

  // Instructions that read the version of `slot` written by `writer`.
  std::vector<int> readers(int writer, uint32_t slot) const;
  // True when the version of `slot` written by `writer` is read by `reader` and by nothing else, and is not the value
  // an output or mutable buffer has at the end.
  bool only_reader(int writer, uint32_t slot, int reader) const;
  // The writer of the version of `slot` that `instruction` reads; kExternal if it does not read it or nobody wrote it.
  int writer_of(int instruction, uint32_t slot) const;

 private:
  const program::Program& program_;
  std::vector<Access> access_;
};

}  // namespace tessera::runtime
