// Matrices of codes and groups (quant/affine.h) as the constants of a program. They are made while the program is
// written: a matrix of ordinary size once, for its three constants together, one at a time; a larger one (an embedding
// table) some rows at a time and again for each constant.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "compile/affine_kernels.h"
#include "quant/affine.h"

namespace tessera::compile {

// Shared by the constants of one program, which keep it alive.
class AffineMaker {
 public:
  explicit AffineMaker(int n_threads = 0);
  ~AffineMaker();

  // Scales and biases in `dtype`. Groups become 32, 64 or 128 wide, what matrix kernels exist for, by repeating the
  // parameters of wider ones. Errors: kNotImplemented for narrower groups and rows that do not divide so.
  static Result<AffineData> data(std::shared_ptr<AffineMaker> maker, const std::string& name,
                                 std::shared_ptr<const quant::AffineMatrix> matrix, DType dtype);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tessera::compile
