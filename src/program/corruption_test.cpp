// Files that are not what they claim to be: one case for every check of a loader, then every truncation and every byte
// flipped. What matters beyond the error is that nothing is read out of bounds, so bytes live in exact allocations and
// the sanitizers watch.
#include <gtest/gtest.h>

#include <functional>

#include "program/container.h"
#include "program/golden_testing.h"
#include "program/graph_codec.h"
#include "program/sample_testing.h"

namespace tessera::program {
namespace {

using testing::loaded;
using testing::sample_program;
using testing::written;
using Bytes = std::vector<std::byte>;

template <typename T>
T get(const Bytes& bytes, size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof(T));
  return value;
}
template <typename T>
void put(Bytes& bytes, size_t at, T value) {
  std::memcpy(bytes.data() + at, &value, sizeof(T));
}

// Finds its way through a valid flatbuffer inside `bytes`.
class Navigator {
 public:
  Navigator(Bytes& bytes, size_t base) : bytes_(bytes), at_(base + get<uint32_t>(bytes, base)) {}
  size_t slot(int id) const {
    const auto vtable = static_cast<size_t>(static_cast<int64_t>(at_) - get<int32_t>(bytes_, at_));
    return vtable + 4 + 2 * static_cast<size_t>(id);
  }
  size_t field(int id) const { return at_ + get<uint16_t>(bytes_, slot(id)); }
  size_t target(int id) const { return field(id) + get<uint32_t>(bytes_, field(id)); }
  Navigator table(int id) const { return Navigator(bytes_, Position{target(id)}); }
  Navigator element(int id, size_t i) const {
    const size_t at = target(id) + 4 + 4 * i;
    return Navigator(bytes_, Position{at + get<uint32_t>(bytes_, at)});
  }
  void remove(int id) { put<uint16_t>(bytes_, slot(id), 0); }
  template <typename T>
  void set(int id, T value) {
    put(bytes_, field(id), value);
  }

 private:
  struct Position {
    size_t at;
  };
  Navigator(Bytes& bytes, Position position) : bytes_(bytes), at_(position.at) {}
  Bytes& bytes_;
  size_t at_;
};

struct Case {
  const char* name;
  std::function<void(Bytes&)> change;
  const char* error;  // part of the message
};

void expect_errors(const Bytes& good, const std::vector<Case>& cases) {
  const auto unchanged = loaded(good);
  ASSERT_TRUE(unchanged) << unchanged.error().message;
  for (const Case& c : cases) {
    Bytes bytes = good;
    c.change(bytes);
    const auto result = loaded(bytes);
    EXPECT_FALSE(result) << c.name;
    if (result) continue;
    EXPECT_NE(result.error().message.find(c.error), std::string::npos) << c.name << ": " << result.error().message;
    EXPECT_TRUE(result.error().message.starts_with("p.pte: ")) << c.name << ": " << result.error().message;
  }
}

// --- The container's header (10.1, rows 1 to 8). ---

TEST(CorruptPte, Header) {
  expect_errors(testing::tiny_pte(),
                {
                    {"short file", [](Bytes& b) { b.resize(63); }, "file of 63 bytes"},
                    {"identifier", [](Bytes& b) { put(b, 4, 'X'); }, "ET12"},
                    {"header length", [](Bytes& b) { put<uint32_t>(b, 12, 23); }, "extended header of 23"},
                    {"cut segments", [](Bytes& b) { b.resize(b.size() - 1); }, "the file has 1679 bytes"},
                    {"extent overflow", [](Bytes& b) { put<uint64_t>(b, 24, UINT64_MAX - 3); }, "the file has"},
                    {"program size", [](Bytes& b) { put<uint64_t>(b, 16, 5000); }, "flatbuffer ends at 5000"},
                    {"no program", [](Bytes& b) { put<uint64_t>(b, 16, 0); }, "root offset"},
                    {"root before the table", [](Bytes& b) { put<uint32_t>(b, 0, 7); }, "root offset 7"},
                    {"root past the end", [](Bytes& b) { put<uint32_t>(b, 0, 933); }, "root offset 933"},
                    {"root not raised", [](Bytes& b) { put<uint32_t>(b, 0, get<uint32_t>(b, 0) - 32); }, "offset"},
                    {"no segment base", [](Bytes& b) { put<uint64_t>(b, 24, 0); }, "no segment base"},
                });
}

TEST(CorruptPte, OldHeaderIsAccepted) {
  Bytes bytes = testing::tiny_pte();
  put<uint32_t>(bytes, 12, 24);
  put<uint64_t>(bytes, 32, UINT64_MAX);  // does not exist in a header of 24 bytes
  EXPECT_TRUE(loaded(bytes));
  put<uint32_t>(bytes, 12, 64);  // a longer one has a tail we do not know
  put<uint64_t>(bytes, 32, 0);
  EXPECT_TRUE(loaded(bytes));
}

// --- Fields that must exist (1.3), by taking them away. ---

TEST(CorruptPte, MissingFields) {
  const auto plan = [](Bytes& b) { return Navigator(b, 0).element(1, 0); };
  const auto delegate = [plan](Bytes& b) { return plan(b).element(7, 0); };
  expect_errors(
      written(sample_program()),
      {
          {"plans", [](Bytes& b) { Navigator(b, 0).remove(1); }, "Program.execution_plan"},
          {"segments", [](Bytes& b) { Navigator(b, 0).remove(4); }, "named_data without segments"},
          {"named data", [](Bytes& b) { Navigator(b, 0).remove(7); }, "has no data"},
          {"name", [=](Bytes& b) { plan(b).remove(0); }, "ExecutionPlan.name"},
          {"values", [=](Bytes& b) { plan(b).remove(2); }, "ExecutionPlan.values"},
          {"inputs", [=](Bytes& b) { plan(b).remove(3); }, "ExecutionPlan.inputs"},
          {"outputs", [=](Bytes& b) { plan(b).remove(4); }, "ExecutionPlan.outputs"},
          {"chains", [=](Bytes& b) { plan(b).remove(5); }, "ExecutionPlan.chains"},
          {"delegates", [=](Bytes& b) { plan(b).remove(7); }, "ExecutionPlan.delegates"},
          {"arenas", [=](Bytes& b) { plan(b).remove(8); }, "ExecutionPlan.non_const_buffer_sizes"},
          {"instructions", [=](Bytes& b) { plan(b).element(5, 0).remove(2); }, "Chain.instructions"},
          {"arguments", [=](Bytes& b) { plan(b).element(5, 0).element(2, 0).table(1).remove(1); }, "DelegateCall.args"},
          {"payload", [=](Bytes& b) { delegate(b).remove(1); }, "BackendDelegate.processed"},
          {"id", [=](Bytes& b) { delegate(b).remove(0); }, "BackendDelegate.id"},
          {"value", [=](Bytes& b) { plan(b).element(2, 0).remove(1); }, "EValue.val"},
          {"sizes", [=](Bytes& b) { plan(b).element(2, 0).table(1).remove(2); }, "Tensor.sizes"},
          {"dim_order", [=](Bytes& b) { plan(b).element(2, 0).table(1).remove(3); }, "Tensor.dim_order"},
      });
}

// --- Values that cannot be (10.1, rows 9 to 28; 10.5), through our own writer. ---

Bytes rebuilt(const Bytes& bytes, const std::function<void(pte::Program&)>& change) {
  auto file = PteFile::open(bytes);
  EXPECT_TRUE(file) << file.error().message;
  change(file->table);
  Bytes out = encode_container(file->table, kSegmentAlignment);
  // The header counts segments that the table invents; say what is there.
  put<uint64_t>(out, 32, file->header.segment_bytes);
  out.insert(out.end(), bytes.begin() + static_cast<ptrdiff_t>(file->header.segment_base), bytes.end());
  return out;
}

pte::Tensor& tensor(pte::Program& p, size_t value, size_t plan = 0) {
  return std::get<pte::Tensor>(p.execution_plan[plan].values[value].val);
}
pte::DelegateCall& call(pte::Program& p) {
  return std::get<pte::DelegateCall>(p.execution_plan[0].chains[0].instructions[0].instr_args);
}
pte::ExecutionPlan& constant_plan(pte::Program& p, std::string_view name) {
  for (auto& plan : p.execution_plan)
    if (plan.name == name) return plan;
  ADD_FAILURE() << name;
  return p.execution_plan[0];
}
pte::Tensor& window(pte::Program& p) { return std::get<pte::Tensor>(constant_plan(p, "get_windows").values[0].val); }

void expect_table_errors(
    const std::vector<std::tuple<const char*, std::function<void(pte::Program&)>, const char*>>& cases) {
  const Bytes good = written(sample_program());
  std::vector<Case> changed;
  for (const auto& [name, change, error] : cases) {
    changed.push_back({name, [&, change = change](Bytes& b) { b = rebuilt(good, change); }, error});
  }
  expect_errors(rebuilt(good, [](pte::Program&) {}), changed);
}

TEST(CorruptPte, Plans) {
  using P = pte::Program;
  const String text(std::string("get_name"));
  expect_table_errors({
      {"no plans", [](P& p) { p.execution_plan.clear(); }, "execution_plan is empty"},
      {"no chains", [](P& p) { p.execution_plan[0].chains.clear(); }, "has no chain"},
      {"constant without chains", [](P& p) { constant_plan(p, "get_name").chains.clear(); }, "has no chain"},
      {"twin methods", [=](P& p) { p.execution_plan[0].name = text; }, "two methods"},
      {"input index",
       [](P& p) {
         p.execution_plan[0].inputs = {0, 9};
       },
       "names value 9"},
      {"output index",
       [](P& p) {
         p.execution_plan[0].outputs = {-1, 1};
       },
       "names value -1"},
      {"argument index", [](P& p) { p.execution_plan[0].outputs = {2}, call(p).args[1] = 2; }, "names value 2"},
      {"constant output index", [](P& p) { constant_plan(p, "get_name").outputs = {5}; }, "names value 5"},
      {"no output", [](P& p) { call(p).args = {0}; }, "0 outputs are described, the map has 1"},
      {"too few arguments", [](P& p) { call(p).args = {}; }, "passes 0 arguments"},
      {"one output twice",
       [](P& p) {
         call(p).args = {0, 1, 1};
       },
       "overlap"},
      {"swapped arguments",
       [](P& p) {
         call(p).args = {1, 0};
       },
       "not of the method"},
      {"delegate index", [](P& p) { call(p).delegate_index = 1; }, "calls delegate 1"},
      {"two calls",
       [](P& p) {
         auto& c = p.execution_plan[0].chains[0].instructions;
         c.push_back(c[0]);
       },
       "2 instructions"},
      {"kernel call", [](P& p) { p.execution_plan[0].chains[0].instructions[0].instr_args = pte::KernelCall(); },
       "only one delegate call"},
      {"other delegate", [](P& p) { p.execution_plan[0].delegates[0].id = String(std::string("XnnpackBackend")); },
       "XnnpackBackend"},
      {"no delegate", [](P& p) { p.execution_plan[0].delegates.clear(); }, "has no delegate"},
      {"payload segment", [](P& p) { p.execution_plan[0].delegates[0].processed.index = 99; }, "segment 99"},
      {"inline payload",
       [](P& p) {
         p.execution_plan[0].delegates[0].processed = {pte::kInline, 0};
       },
       "inline blob 0"},
      {"payload location", [](P& p) { p.execution_plan[0].delegates[0].processed.location = 7; }, "location 7"},
      {"argument kind", [](P& p) { p.execution_plan[0].values[0].val = pte::Bool{true}; }, "argument of kind"},
      {"constant kind", [](P& p) { constant_plan(p, "get_name").values[0].val = pte::IntList(); }, "a value of kind"},
      {"null value", [](P& p) { p.execution_plan[0].values[0].val = pte::Null(); }, "argument of kind"},
      {"compile spec without a value",
       [](P& p) {
         p.execution_plan[0].delegates[0].compile_specs = {{String(std::string("speed")), std::nullopt}};
       },
       "compile spec \"speed\" has no value"},
  });
}

// One text, returned so often that the copies would not fit.
TEST(CorruptPte, TextsCannotUnfoldWithoutEnd) {
  expect_table_errors({{"text",
                        [](pte::Program& p) {
                          auto& plan = constant_plan(p, "get_name");
                          plan.values[0].val = pte::Text{String(std::string(1 << 20, 'n'))};
                          plan.outputs.assign(65, 0);
                        },
                        "constant methods return more than 67108864 bytes"}});
}

// Values that no argument names are checked like the others.
TEST(CorruptPte, UnusedValues) {
  using P = pte::Program;
  const auto add = [](auto value) { return [value](P& p) { p.execution_plan[0].values.push_back({value}); }; };
  const auto like_input = [](const std::function<void(pte::Tensor&)>& change) {
    return [change](P& p) {
      pte::Tensor copy = tensor(p, 0);
      change(copy);
      p.execution_plan[0].values.push_back({copy});
    };
  };
  pte::TensorList tensors;
  tensors.items = {0, 7};
  pte::OptionalTensorList optional;
  optional.items = {-2};
  pte::IntList ints;
  ints.items = {0};
  expect_table_errors({
      {"sizes", like_input([](pte::Tensor& t) { t.sizes[0] = -1; }), "value 2: a size is negative"},
      {"storage offset", like_input([](pte::Tensor& t) { t.storage_offset = 4; }), "value 2: storage_offset"},
      {"constant", like_input([](pte::Tensor& t) { t.data_buffer_idx = 9; }), "value 2: data_buffer_idx 9"},
      {"plan", like_input([](pte::Tensor& t) { t.allocation_info = pte::AllocationDetails{.memory_id = 9}; }),
       "value 2: memory_id 9"},
      {"tensor list", add(tensors), "a list names value 7"},
      {"optional list", add(optional), "a list names value -2"},
      {"ints are values", add(ints), "names value 0 of kind"},
  });
}

TEST(CorruptPte, Tensors) {
  using P = pte::Program;
  expect_table_errors({
      {"storage offset", [](P& p) { tensor(p, 0).storage_offset = 1; }, "storage_offset 1"},
      {"unbounded", [](P& p) { tensor(p, 0).shape_dynamism = 2; }, "unbounded"},
      {"dynamism", [](P& p) { tensor(p, 0).shape_dynamism = 3; }, "shape_dynamism 3"},
      {"dim_order length", [](P& p) { tensor(p, 0).dim_order = {0}; }, "dim_order has 1 entries"},
      {"dim_order twice",
       [](P& p) {
         tensor(p, 0).dim_order = {0, 0};
       },
       "not a permutation"},
      {"dim_order range",
       [](P& p) {
         tensor(p, 0).dim_order = {0, 2};
       },
       "not a permutation"},
      {"column-major",
       [](P& p) {
         tensor(p, 0).dim_order = {1, 0};
       },
       "row-major"},
      {"negative size", [](P& p) { tensor(p, 0).sizes[0] = -1; }, "negative"},
      {"overflow",
       [](P& p) {
         tensor(p, 0).sizes = {INT32_MAX, INT32_MAX, 16}, tensor(p, 0).dim_order = {0, 1, 2};
       },
       "overflow"},
      {"rank", [](P& p) { tensor(p, 0).sizes.assign(17, 1); }, "rank 17"},
      {"dtype", [](P& p) { tensor(p, 0).scalar_type = 9; }, "scalar_type code 9"},
      {"dtype of the graph", [](P& p) { tensor(p, 0).scalar_type = 3; }, "i32 to the host but f32 to the graph"},
      {"arena 0", [](P& p) { tensor(p, 1).allocation_info->memory_id = 0; }, "memory_id 0"},
      {"arena 2", [](P& p) { tensor(p, 1).allocation_info->memory_id = 2; }, "memory_id 2"},
      {"no arenas", [](P& p) { p.execution_plan[0].non_const_buffer_sizes.clear(); }, "no arena 0"},
      {"small arena",
       [](P& p) {
         p.execution_plan[0].non_const_buffer_sizes = {0, 127};
       },
       "arena of 127"},
      {"negative arena",
       [](P& p) {
         p.execution_plan[0].non_const_buffer_sizes = {0, -1};
       },
       "arena of -1"},
      {"planned offset", [](P& p) { tensor(p, 1).allocation_info->memory_offset_high = 1; },
       "reach past the end of an arena"},
      {"initialised output", [](P& p) { tensor(p, 1).data_buffer_idx = 1; }, "initial values"},
      {"constant index", [](P& p) { window(p).data_buffer_idx = 3; }, "data_buffer_idx 3"},
      {"constant without data", [](P& p) { window(p).data_buffer_idx = 0; }, "without constant data"},
      {"constant extent", [](P& p) { window(p).sizes = {100}; }, "reach past the end of the constants"},
      {"constant offset", [](P& p) { (*p.constant_segment->offsets)[1] = UINT64_MAX; },
       "reach past the end of the constants"},
      {"no constants", [](P& p) { p.constant_segment.reset(); }, "data_buffer_idx 1, the file has 0"},
  });
}

TEST(CorruptPte, SegmentsAndNamedData) {
  using P = pte::Program;
  expect_table_errors({
      {"constant segment", [](P& p) { p.constant_segment->segment_index = 50; }, "constant_segment is in segment 50"},
      {"two kinds of constants",
       [](P& p) {
         p.constant_buffer = {{}, {}};
       },
       "both in"},
      {"segment of a key", [](P& p) { (*p.named_data)[0].segment_index = 77; }, "\"weight\" is in segment 77"},
      {"one key twice", [](P& p) { p.named_data->push_back((*p.named_data)[0]); }, "appears twice"},
      {"segment end", [](P& p) { (*p.segments)[2].size += 100'000; }, "reach past the end of the file"},
      {"segment overflow", [](P& p) { (*p.segments)[2].offset = UINT64_MAX; }, "reach past the end of the file"},
      {"short blob", [](P& p) { (*p.segments)[2].size -= 1; }, "has 419 bytes of data, its shape and dtype need 420"},
      {"long blob", [](P& p) { (*p.segments)[2].size += 1; }, "has 421 bytes of data"},
  });
}

TEST(CorruptPte, OverlappingOutputs) {
  Program program = sample_program();
  program.output_map.push_back({3, SlotType::kTensor});
  program.outputs.push_back({DType::kF32, {2}, false});
  const Bytes good = written(program);
  ASSERT_TRUE(loaded(good));
  const auto result =
      loaded(rebuilt(good, [](pte::Program& p) { tensor(p, 2).allocation_info->memory_offset_low = 64; }));
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().message.find("overlap"), std::string::npos) << result.error().message;
}

// --- The payload (10.3). ---

TEST(CorruptPayload, HeaderAndFlatbuffer) {
  const Bytes good = encode_payload(sample_program());
  const auto graph = [](Bytes& b) { return Navigator(b, 24); };
  const Case cases[] = {
      {"empty", [](Bytes& b) { b.clear(); }, "payload of 0 bytes"},
      {"short", [](Bytes& b) { b.resize(23); }, "payload of 23 bytes"},
      {"magic", [](Bytes& b) { put(b, 4, 'x'); }, "MLX0"},
      {"end 24", [](Bytes& b) { put<uint64_t>(b, 8, 24); }, "end of the graph 24"},
      {"end past payload", [](Bytes& b) { put<uint64_t>(b, 8, b.size() + 1); }, "end of the graph"},
      {"cut flatbuffer", [](Bytes& b) { put<uint64_t>(b, 8, 100); }, "past the end of the flatbuffer"},
      {"no chains", [=](Bytes& b) { graph(b).remove(7); }, "MLXGraph.instruction_chains"},
      {"name of a slot", [=](Bytes& b) { graph(b).element(13, 0).remove(0); }, "required field is missing"},
      {"op", [=](Bytes& b) { graph(b).element(7, 0).element(0, 0).remove(1); }, "Instruction.op"},
      {"null tensor_meta", [=](Bytes& b) { put<uint32_t>(b, graph(b).target(14) + 4, 0); }, "leads nowhere"},
      {"shape", [=](Bytes& b) { graph(b).element(14, 0).remove(0); }, "required field is missing"},
      {"scalar_type", [=](Bytes& b) { graph(b).element(14, 1).set<int8_t>(1, 31); }, "scalar_type is outside"},
  };
  Program out;
  ASSERT_TRUE(decode_payload(good, 0, out));
  for (const Case& c : cases) {
    Bytes bytes = good;
    c.change(bytes);
    Program program;
    const Status status = decode_payload(bytes, 0, program);
    ASSERT_FALSE(status) << c.name;
    EXPECT_NE(status.error().message.find(c.error), std::string::npos) << c.name << ": " << status.error().message;
  }
}

TEST(CorruptPayload, Versions) {
  const Bytes good = encode_payload(sample_program());
  const auto with_version = [&](char version) {
    Bytes bytes = good;
    put(bytes, Navigator(bytes, 24).target(0) + 4, version);
    Program out;
    return decode_payload(bytes, 0, out);
  };
  EXPECT_TRUE(with_version('0'));
  EXPECT_TRUE(with_version('1'));
  ASSERT_FALSE(with_version('2'));
  EXPECT_EQ(with_version('2').error().code, ErrorCode::kNotImplemented);
  ASSERT_FALSE(with_version('x'));
  EXPECT_EQ(with_version('x').error().code, ErrorCode::kInvalidFormat);
  Bytes bytes = good;
  Navigator(bytes, 24).remove(0);
  Program out;
  EXPECT_TRUE(decode_payload(bytes, 0, out));  // absent counts as 1
}

TEST(CorruptPayload, OddThingsTheFormatAllows) {
  Bytes bytes = encode_payload(sample_program());
  put<uint32_t>(bytes, 0, 0x12345678);
  put<uint64_t>(bytes, 16, UINT64_MAX);
  Program out;
  EXPECT_TRUE(decode_payload(bytes, 0, out));
}

// --- The data file (10.2). ---

TEST(CorruptPtd, EveryCheck) {
  const Case cases[] = {
      {"short file", [](Bytes& b) { b.resize(60); }, "file of 60 bytes"},
      {"identifier", [](Bytes& b) { put(b, 4, 'X'); }, "FT01"},
      {"magic", [](Bytes& b) { put(b, 8, 'X'); }, "FH01"},
      {"header length", [](Bytes& b) { put<uint32_t>(b, 12, 39); }, "header of 39"},
      {"cut", [](Bytes& b) { b.resize(b.size() - 1); }, "the file has 271 bytes"},
      {"flatbuffer overflow", [](Bytes& b) { put<uint64_t>(b, 24, UINT64_MAX); }, "overflow"},
      {"segments", [](Bytes& b) { Navigator(b, 0).remove(1); }, "FlatTensor.segments"},
      {"named data", [](Bytes& b) { Navigator(b, 0).remove(2); }, "FlatTensor.named_data"},
      {"key", [](Bytes& b) { Navigator(b, 0).element(2, 0).remove(0); }, "NamedData.key"},
      {"nothing in it", [](Bytes& b) { put<uint32_t>(b, Navigator(b, 0).target(2), 0); }, "hold no keys"},
      {"segment of a key", [](Bytes& b) { put<uint32_t>(b, Navigator(b, 0).target(1), 0); }, "is in segment 0"},
      {"segment extent", [](Bytes& b) { Navigator(b, 0).element(1, 0).set<uint64_t>(1, 17); }, "reach past the end"},
  };
  const tessera::testing::TempDir dir;
  for (const Case& c : cases) {
    Bytes bytes = testing::tiny_ptd();
    c.change(bytes);
    testing::write_bytes(dir.file("tiny.ptd"), bytes);
    const auto result = loaded(testing::tiny_pte(), {.method = "", .ptd_paths = {dir.file("tiny.ptd")}});
    ASSERT_FALSE(result) << c.name;
    EXPECT_NE(result.error().message.find(c.error), std::string::npos) << c.name << ": " << result.error().message;
  }
}

// --- Everything else: an error or a program that holds together. ---

void expect_survives(const Bytes& bytes, bool write_back) {
  const auto result = loaded(bytes);
  if (!result) return;
  EXPECT_TRUE(verify(*result));
  if (!write_back) return;  // it costs a file each time
  EXPECT_FALSE(written(*result).empty());
}

TEST(CorruptPte, EveryTruncationIsAnError) {
  for (const Bytes& good : {testing::tiny_pte(), written(sample_program())}) {
    for (size_t size = 0; size < good.size(); ++size) {
      EXPECT_FALSE(loaded(Bytes(good.begin(), good.begin() + static_cast<ptrdiff_t>(size)))) << size;
    }
  }
}

TEST(CorruptPte, EveryFlippedByteIsSurvived) {
  auto rng = tessera::testing::fresh_rng();
  for (const Bytes& good : {testing::tiny_pte(), written(sample_program())}) {
    for (size_t at = 0; at < good.size(); ++at) {
      for (const auto mask : {std::byte{0x01}, static_cast<std::byte>(1 + rng() % 255)}) {
        Bytes bytes = good;
        bytes[at] ^= mask;
        expect_survives(bytes, at % 64 == 0);
      }
    }
  }
}

}  // namespace
}  // namespace tessera::program
