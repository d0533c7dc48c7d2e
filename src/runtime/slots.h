// What the slots of a program hold while it runs: tensors by Tid, scalars by Vid. A slot is an untyped variable: it may
// be written many times with different shapes. Constants and mutable buffers outlive an execution, the rest is cleared.
//
// A Tensor taken out of a slot shares its bytes. Whoever changes bytes in place must hold the only reference
// (Tensor::unique), so a slot that aliases another one keeps the old value: the semantics of immutable arrays, at the
// price of a copy only when somebody really looks. Copying a Slots shares everything in the same way.
#pragma once

#include <cstdint>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "ops/tensor.h"
#include "program/program.h"

namespace tessera::runtime {

// The contents of a value slot.
using Value = std::variant<int32_t, float, bool>;
std::string_view kind_name(const Value& value);  // "int", "float", "bool"

class Slots {
 public:
  // All slots unset. Keeps no reference to `program`.
  explicit Slots(const program::Program& program);

  // Every constant over the program's data (read-only; shared, or a copy where it lies unaligned). Errors: a constant
  // without metadata, name or data, a dynamic shape, a size that does not match, which program::verify finds earlier; a
  // bool that is neither 0 nor 1.
  Status bind_constants(const program::Program& program);
  // Every mutable buffer as zeros of its metadata's shape and dtype, in memory of its own.
  Status allocate_mutable_buffers(const program::Program& program);

  // Errors: an index out of range, reading an unset slot.
  Result<ops::Tensor> get(program::Tid tid) const;
  // Where the tensor lives, for updates in place; nullptr when unset or out of range.
  ops::Tensor* find(program::Tid tid);
  // Any slot but a constant. A borrowed tensor is copied when the slot is a mutable buffer, which outlives the lender.
  Status set(program::Tid tid, ops::Tensor tensor);
  // A constant, as the init chain may.
  Status set_constant(program::Tid tid, ops::Tensor tensor);

  // Errors: an index out of range, reading an unset slot, a value of the wrong kind.
  Result<int32_t> get_int(program::Vid vid) const;
  Result<Value> get(program::Vid vid) const;
  Status set(program::Vid vid, Value value);

  // Unsets inputs, outputs, temporaries and values: before and after each execution.
  void clear();

  bool is_constant(program::Tid tid) const { return tid.idx < n_constants_; }
  bool is_mutable(program::Tid tid) const { return tid.idx >= mutable_begin_ && tid.idx < mutable_end_; }

 private:
  Status check(program::Tid tid) const;
  Status check(program::Vid vid) const;

  struct ValueSlot {
    Value value;
    bool is_set = false;
  };
  std::vector<ops::Tensor> tensors_;
  std::vector<ValueSlot> values_;
  uint32_t n_constants_ = 0, mutable_begin_ = 0, mutable_end_ = 0;
};

}  // namespace tessera::runtime
