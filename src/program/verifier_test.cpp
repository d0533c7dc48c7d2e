// program::verify: one broken program for each thing it promises to find.
#include <gtest/gtest.h>

#include <functional>

#include "program/sample_testing.h"

namespace tessera::program {
namespace {

using testing::bytes_of;
using testing::sample_program;

struct Case {
  const char* name;
  std::function<void(Program&)> change;
  const char* error;
};

void expect_errors(const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    Program program = sample_program();
    c.change(program);
    const Status status = verify(program);
    EXPECT_FALSE(status) << c.name;
    if (!status) {
      EXPECT_NE(status.error().message.find(c.error), std::string::npos) << c.name << ": " << status.error().message;
    }
  }
}

MetalKernel& kernel(Program& p) { return std::get<MetalKernel>(p.chains[1][0]); }

TEST(Verify, AcceptsTheSample) {
  const Status status = verify(sample_program());
  EXPECT_TRUE(status) << status.error().message;
}

TEST(Verify, Counts) {
  expect_errors({
      {"tensors", [](Program& p) { p.n_temps = 1'000'000; }, "tensor slots, at most"},
      {"tensors overflow", [](Program& p) { p.n_temps = UINT32_MAX, p.n_constants = UINT32_MAX; },
       "tensor slots, at most"},
      {"values", [](Program& p) { p.n_values = 1'000'001; }, "value slots, at most"},
      {"main chain", [](Program& p) { p.main_chain = 4; }, "main chain is 4"},
      {"init chain", [](Program& p) { p.init_chain = 4; }, "init chain is 4"},
      {"no chains", [](Program& p) { p.chains.clear(); }, "the program has 0 chains"},
  });
}

TEST(Verify, MapsAndNames) {
  expect_errors({
      {"input range", [](Program& p) { p.input_map[0].idx = 8; }, "input_map names tensor slot 8"},
      {"value range",
       [](Program& p) {
         p.output_map[0] = {2, SlotType::kInt};
       },
       "output_map names value slot 2"},
      {"float slot", [](Program& p) { p.output_map[0].type = SlotType::kFloat, p.output_map[0].idx = 0; },
       "float or bool"},
      {"input kind", [](Program& p) { p.input_map[0].idx = 0; }, "of another kind"},
      {"input twice", [](Program& p) { p.input_map.push_back(p.input_map[0]); }, "twice"},
      {"mutable missing", [](Program& p) { p.mutable_map.clear(); }, "0 entries for 1 mutable buffers"},
      {"mutable value",
       [](Program& p) {
         p.mutable_map[0] = {0, SlotType::kInt};
       },
       "has a value slot"},
      {"named slot", [](Program& p) { p.named_slots[5].slot.idx = 100; }, "named slot \"state\""},
      {"long name", [](Program& p) { p.named_slots[5].name.assign(4097, 'x'); }, "name has 4097 bytes, at most 4096"},
      {"inputs described", [](Program& p) { p.inputs.clear(); }, "0 inputs are described"},
      {"impossible output", [](Program& p) { p.outputs[0].sizes = {-3}; }, "impossible"},
      {"input dtype", [](Program& p) { p.inputs[0].dtype = DType::kF16; }, "f16 to the host but f32 to the graph"},
      {"int slot as tensor",
       [](Program& p) {
         p.output_map[0] = {0, SlotType::kInt};
       },
       "0-d i64"},
  });
}

TEST(Verify, MetadataAndData) {
  expect_errors({
      {"missing meta", [](Program& p) { p.tensor_meta.pop_back(); }, "tensor_meta has 5 entries"},
      {"rank", [](Program& p) { p.tensor_meta[3].shape.resize(17); }, "rank 17"},
      {"size", [](Program& p) { p.tensor_meta[3].shape[0].value = -2; }, "size -2"},
      {"minimum", [](Program& p) { p.tensor_meta[3].shape[0].min_value = -1; }, "from -1 to 8"},
      {"maximum",
       [](Program& p) {
         p.tensor_meta[3].shape[0] = {-1, 5, 4};
       },
       "from 5 to 4"},
      {"dtype", [](Program& p) { p.tensor_meta[3].dtype = DType::kF64; }, "dtype code 7"},
      {"dynamic constant",
       [](Program& p) {
         p.tensor_meta[0].shape[0] = {-1, 0, 420};
       },
       "has a dynamic shape"},
      {"unnamed constant", [](Program& p) { p.named_slots.erase(p.named_slots.begin()); }, "constant 0 has no name"},
      {"no data", [](Program& p) { p.data.erase("bias"); }, "constant 1 (\"bias\") has no data"},
      {"short data", [](Program& p) { p.data["bias"] = Data::own(bytes_of("abc")); }, "has 3 bytes of data"},
      {"overflow", [](Program& p) { p.tensor_meta[0].shape.assign(4, {INT32_MAX}); }, "overflows"},
      {"dynamic buffer",
       [](Program& p) {
         p.tensor_meta[5].shape[0] = {-1, 0, 2};
       },
       "has a dynamic shape"},
      {"empty buffer", [](Program& p) { p.tensor_meta[5].shape[0].value = 0; }, "has 0 bytes"},
      {"huge buffer", [](Program& p) { p.tensor_meta[5].shape[0].value = INT32_MAX; }, "expected 1 to 4294967296"},
      {"method twice", [](Program& p) { p.constant_methods["forward"] = {int64_t{1}}; }, "also a constant method"},
      {"constant tensor",
       [](Program& p) { std::get<ConstantTensor>(p.constant_methods["get_windows"][0]).sizes = {4}; }, "do not fit"},
  });
}

TEST(Verify, References) {
  expect_errors({
      {"tensor", [](Program& p) { std::get<Add>(p.chains[0][3]).b.idx = 8; },
       "chain 0, instruction 3 (Add): tensor slot 8"},
      {"written tensor", [](Program& p) { std::get<Add>(p.chains[0][3]).out.idx = 9; }, "tensor slot 9"},
      {"value", [](Program& p) { std::get<SymSize>(p.chains[0][0]).out.idx = 2; }, "(SymSize): value slot 2"},
      {"operand", [](Program& p) { std::get<If>(p.chains[0][2]).cond = Vid{7}; }, "(If): value slot 7"},
      {"optional", [](Program& p) { std::get<Sdpa>(p.chains[2][1]).mask = Tid{8}; }, "chain 2, instruction 1 (Sdpa)"},
      {"list", [](Program& p) { kernel(p).grid[1] = Vid{2}; }, "(MetalKernel): value slot 2"},
      {"list of tensors", [](Program& p) { kernel(p).inputs[1] = Tid{8}; }, "(MetalKernel): tensor slot 8"},
      {"index operand",
       [](Program& p) {
         p.chains[2].push_back(Take{Tid{3}, {{6}}, Tid{8}, 0});
       },
       "(Take): tensor slot 8"},
      {"branch never taken",
       [](Program& p) {
         p.chains[2].push_back(If{IntOrVid(0), 4, 3});
       },
       "(If): chain 4"},
      {"chain nobody runs",
       [](Program& p) {
         p.chains.push_back({Tanh{Tid{8}, {{6}}}});
       },
       "chain 4, instruction 0 (Tanh)"},
      {"scan body",
       [](Program& p) {
         p.chains[0].push_back(Scan{{Tid{3}}, {{{6}}}, {}, {}, -1, 0});
       },
       "(Scan): chain"},
  });
}

TEST(Verify, Nesting) {
  expect_errors({
      {"self",
       [](Program& p) {
         p.chains[1].push_back(If{IntOrVid(0), 1, 2});
       },
       "runs itself"},
      {"cycle",
       [](Program& p) {
         p.chains[1].push_back(If{IntOrVid(0), 0, 2});
       },
       "runs itself"},
      {"scan cycle",
       [](Program& p) {
         p.chains[2].push_back(Scan{{Tid{3}}, {{{6}}}, {}, {}, 2, 0});
       },
       "runs itself"},
  });
  const auto nested = [](uint32_t depth) {
    Program p = sample_program();
    const auto first = static_cast<uint32_t>(p.chains.size());
    for (uint32_t i = 0; i < depth; ++i) p.chains.push_back({If{IntOrVid(0), first + i + 1, first + i + 1}});
    p.chains.push_back({});
    return p;
  };
  EXPECT_TRUE(verify(nested(63)));
  EXPECT_FALSE(verify(nested(64)));
  EXPECT_FALSE(verify(nested(100'000)));  // and not by running out of stack
}

TEST(Verify, ConstantsAreWrittenByTheInitChainOnly) {
  expect_errors({
      {"main",
       [](Program& p) {
         p.chains[0].push_back(IdCopy{Tid{6}, {{0}}});
       },
       "(IdCopy): writes constant 0"},
      {"branch",
       [](Program& p) {
         p.chains[2].push_back(IdCopy{Tid{6}, {{2}}});
       },
       "chain 2, instruction 2"},
      {"shared by both",
       [](Program& p) {
         p.chains[0].push_back(If{IntOrVid(0), 3, 3});
       },
       "chain 3, instruction 0"},
      {"nobody's chain",
       [](Program& p) {
         p.chains.push_back({IdCopy{Tid{6}, {{2}}}});
       },
       "chain 4, instruction 0"},
      {"update in place",
       [](Program& p) {
         p.chains[3].push_back(SliceUpdate{Tid{2}, Tid{1}, {{2}}, 0, 0, 4, 1});
       },
       "(SliceUpdate): writes constant 2"},
      {"index copy",
       [](Program& p) {
         p.chains[3].push_back(IndexCopy{Tid{2}, Tid{1}, Tid{0}, {{6}}, 0});
       },
       "(IndexCopy): writes constant 2"},
  });
  Program nested = sample_program();  // what the init chain runs is the init chain
  nested.chains.push_back({IdCopy{Tid{1}, {{2}}}});
  nested.chains[3].push_back(If{IntOrVid(0), 4, 4});
  EXPECT_TRUE(verify(nested));
}

TEST(Verify, ListLengths) {
  expect_errors({
      {"input names", [](Program& p) { kernel(p).input_names.pop_back(); }, "inputs and input_names"},
      {"output names", [](Program& p) { kernel(p).output_names.clear(); }, "outputs and output_names"},
      {"no inputs", [](Program& p) { kernel(p).inputs.clear(), kernel(p).input_names.clear(); }, "at least one input"},
      {"grid", [](Program& p) { kernel(p).grid.pop_back(); }, "grid must have 3"},
      {"threadgroup", [](Program& p) { kernel(p).threadgroup.push_back(1); }, "threadgroup must have 3"},
      {"template kinds", [](Program& p) { kernel(p).template_arg_kinds.pop_back(); }, "names and kinds"},
      {"template values", [](Program& p) { kernel(p).template_arg_values.pop_back(); }, "names and values"},
      {"shape lengths", [](Program& p) { kernel(p).output_shape_lengths.clear(); }, "one shape length"},
      {"rank", [](Program& p) { kernel(p).output_shape_lengths[0] = -1; }, "rank -1"},
      {"flat shape", [](Program& p) { kernel(p).output_shapes_flat.pop_back(); }, "do not add up"},
      {"dtypes", [](Program& p) { kernel(p).output_dtypes.clear(); }, "one dtype"},
      {"dtype", [](Program& p) { kernel(p).output_dtypes[0] = DType{30}; }, "dtype code 30"},
      {"gather",
       [](Program& p) {
         p.chains[2].push_back(Gather{Tid{3}, {Tid{5}}, {{6}}, {}, {1, 1}});
       },
       "1 index tensors for 0"},
      {"scan",
       [](Program& p) {
         p.chains[0].push_back(Scan{{Tid{3}}, {}, {}, {}, 1, 0});
       },
       "1 originals for 0"},
      {"scan of nothing",
       [](Program& p) {
         p.chains[0].push_back(Scan{{}, {}, {}, {}, 1, 0});
       },
       "no originals"},
      {"scan axis",
       [](Program& p) {
         p.chains[0].push_back(Scan{{Tid{3}}, {{{6}}}, {}, {}, 1, -1});
       },
       "scan_axis -1"},
  });
}

}  // namespace
}  // namespace tessera::program
