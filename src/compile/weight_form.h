// How a weight of the graph is stored in a program: as it is, when it is numbers; as GGUF blocks that fused kernels
// read; as affine groups; or dequantized.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "compile/affine_kernels.h"
#include "compile/affine_maker.h"
#include "graph/graph.h"

namespace tessera::compile {

// Which form is preferred for weights in blocks.
enum class LoweringKind {
  kPacked,  // the file's bytes and the kernels named gguf_<format>_*
  kAffine   // instructions of the array framework alone, where they can express the format
};

// What becomes of formats that neither kernels of ExecuTorch nor its array framework know.
enum class UnknownFormats {
  kKeep,        // blocks with a kernel's name: for running here, nothing else knows the kernel
  kDequantize,  // bf16 values, with a warning
  kRefuse
};

struct WeightOptions {
  LoweringKind kind = LoweringKind::kPacked;
  UnknownFormats unknown = UnknownFormats::kKeep;
  DType dtype = DType::kBF16;  // of scales: the activations'
};

struct DenseForm {
  DType dtype;
  program::Data data;
  bool is_converted = false;  // from a format that had no better form
};
struct PackedForm {
  program::Data data;
};
using WeightForm = std::variant<DenseForm, PackedForm, AffineData>;

// `maker` makes the constants of weights that are codes and groups already. Errors: kNotImplemented, for a format that
// cannot be computed with and a matrix that is none.
Result<WeightForm> choose_form(const graph::Weight& weight, const Shape& shape, const WeightOptions& options,
                               const std::shared_ptr<AffineMaker>& maker);

// One line for each format among `weights`: "ExecuTorch has no form for Q2_K: 3 tensors of 123 bytes in all ...".
std::vector<std::string> describe_unknown(const std::vector<const graph::Weight*>& weights, std::string_view outcome);

}  // namespace tessera::compile
