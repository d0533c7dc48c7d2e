// Programs through files: what is written, what comes back.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "base/checked_math.h"
#include "base/mapped_file.h"
#include "program/container.h"
#include "program/external.h"
#include "program/graph_codec.h"
#include "program/inspect.h"
#include "program/sample_testing.h"

namespace tessera::program {
namespace {

using tessera::testing::TempDir;
using testing::bytes_of;
using testing::expect_equal;
using testing::loaded;
using testing::sample_program;
using testing::written;
using Weights = WriteOptions::Weights;

Program load_or_fail(const std::vector<std::byte>& bytes, const LoadOptions& options = {}) {
  auto program = loaded(bytes, options);
  EXPECT_TRUE(program) << program.error().message;
  return program ? *std::move(program) : Program();
}

PteFile open_or_fail(const std::vector<std::byte>& bytes) {
  auto file = PteFile::open(bytes);
  EXPECT_TRUE(file) << file.error().message;
  return file ? *std::move(file) : PteFile();
}

size_t count(const std::vector<std::byte>& bytes, std::string_view text) {
  size_t n = 0;
  const auto pattern = bytes_of(text);
  for (auto it = bytes.begin(); (it = std::search(it, bytes.end(), pattern.begin(), pattern.end())) != bytes.end();
       ++it) {
    ++n;
  }
  return n;
}

TEST(Pte, WhatIsWrittenIsWhatIsLoaded) { expect_equal(sample_program(), load_or_fail(written(sample_program()))); }

TEST(Pte, EqualProgramsGiveEqualBytes) {
  const auto first = written(sample_program());
  EXPECT_EQ(written(sample_program()), first);
  EXPECT_EQ(written(load_or_fail(first)), first);
}

TEST(Pte, LayoutFollowsTheContainersRules) {
  const auto bytes = written(sample_program());
  const PteFile file = open_or_fail(bytes);
  EXPECT_EQ(file.header.length, 32u);
  EXPECT_EQ(file.header.segment_base, align_up<uint64_t>(file.header.flatbuffer_end, 128));
  EXPECT_EQ(file.header.segment_base + file.header.segment_bytes, bytes.size());
  for (const auto& segment : file.segments.list) EXPECT_EQ(segment.offset % 128, 0u);
  ASSERT_TRUE(file.table.constant_segment);
  EXPECT_EQ(file.table.constant_segment->segment_index, 0u);
  EXPECT_EQ(file.table.constant_segment->offsets, (std::vector<uint64_t>{0, 0, 16}));
  const auto& plan = file.table.execution_plan[0];
  EXPECT_EQ(plan.name, "forward");
  EXPECT_EQ(plan.non_const_buffer_sizes, (RequiredVector<int64_t>{0, 128}));
  EXPECT_EQ(plan.delegates[0].processed.index, 1u);
  EXPECT_EQ(std::get<pte::DelegateCall>(plan.chains[0].instructions[0].instr_args).args,
            (RequiredVector<int32_t>{0, 1}));
  EXPECT_FALSE(std::get<pte::Tensor>(plan.values[0].val).allocation_info);
  EXPECT_TRUE(std::get<pte::Tensor>(plan.values[1].val).allocation_info);
}

TEST(Pte, ConstantSegmentExistsEvenWhenEmpty) {
  Program program = sample_program();
  program.constant_methods.clear();
  const auto bytes = written(program);
  const PteFile file = open_or_fail(bytes);
  EXPECT_EQ(file.table.constant_segment->offsets, std::vector<uint64_t>{0});
  EXPECT_EQ(file.segments.list[0].bytes.size(), 0u);
  expect_equal(program, load_or_fail(bytes));
}

TEST(Pte, OneBlobUnderTwoKeysIsStoredOnce) {
  const auto bytes = written(sample_program());
  EXPECT_EQ(count(bytes, std::string(16, 'b')), 1u);
  const PteFile file = open_or_fail(bytes);
  const auto& named = *file.table.named_data;
  EXPECT_EQ(named[1].segment_index, named[2].segment_index);
}

TEST(Pte, WeightsCanStartOnPages) {
  const auto bytes = written(sample_program(), {.segment_alignment = 4096});
  const PteFile file = open_or_fail(bytes);
  for (const auto& named : *file.table.named_data) {
    if (named.key.view().starts_with("tessera.")) continue;
    EXPECT_EQ(file.segments.list[named.segment_index].offset % 4096, 0u) << named.key.view();
  }
  expect_equal(sample_program(), load_or_fail(bytes));
}

TEST(Pte, ImpossibleAlignmentsAreRefused) {
  const TempDir dir;
  for (const uint64_t alignment : {uint64_t{0}, uint64_t{64}, uint64_t{192}}) {
    const auto status = write_pte(sample_program(), dir.file("p.pte"), {.segment_alignment = alignment});
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, ErrorCode::kInvalidArgument);
  }
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
}

TEST(Pte, AnEmptyLastBlobDoesNotReachPastTheFile) {
  Program program = sample_program();
  program.data["tessera.zero"] = Data::own({});
  expect_equal(program, load_or_fail(written(program)));
}

TEST(Pte, IntSlotsArePassedAsInts) {
  Program program = sample_program();
  program.output_map.push_back({0, SlotType::kInt});
  program.outputs.push_back({DType::kI64, {}, false});
  expect_equal(program, load_or_fail(written(program)));
}

TEST(Pte, WeightsAreBorrowedFromTheMappedFile) {
  const TempDir dir;
  ASSERT_TRUE(write_pte(sample_program(), dir.file("p.pte")));
  const auto program = load_pte(dir.file("p.pte"));
  ASSERT_TRUE(program) << program.error().message;
  const Data& data = *program->find_data("weight");
  ASSERT_NE(data.mapped, nullptr);
  const auto file = data.mapped->bytes();
  EXPECT_TRUE(data.bytes.data() >= file.data() && data.bytes.data() + data.bytes.size() <= file.data() + file.size());
}

TEST(Pte, StreamsMappedWeightsAndReportsProgress) {
  const TempDir dir;
  const size_t size = 20 << 20;
  std::vector<std::byte> weights(size);
  auto rng = tessera::testing::fresh_rng();
  for (size_t i = 0; i < size; i += 97) weights[i] = static_cast<std::byte>(rng());
  testing::write_bytes(dir.file("weights"), weights);
  const auto file = MappedFile::open(dir.file("weights"));
  ASSERT_TRUE(file);
  Program program = sample_program();
  program.tensor_meta[0].shape[0].value = static_cast<int32_t>(size - 1000);
  program.data["weight"] = Data::borrow(*file, 1000, size - 1000);
  std::vector<uint64_t> progress;
  uint64_t total = 0;
  const auto note = [&](uint64_t done, uint64_t all) {
    progress.push_back(done);
    total = all;
  };
  ASSERT_TRUE(write_pte(program, dir.file("p.pte"), {.progress = note}));
  EXPECT_GE(progress.size(), 3u);
  EXPECT_TRUE(std::is_sorted(progress.begin(), progress.end()));
  EXPECT_EQ(progress.back(), total);
  EXPECT_EQ(total, std::filesystem::file_size(dir.file("p.pte")));
  const auto back = load_pte(dir.file("p.pte"));
  ASSERT_TRUE(back) << back.error().message;
  expect_equal(program, *back);
}

TEST(Pte, OfTwoNamesOfAConstantTheLastNeedsData) {
  const TempDir dir;
  Program program = sample_program();
  program.named_slots.insert(program.named_slots.begin(), {"old name of weight", {0, SlotType::kTensor}});
  ASSERT_TRUE(write_pte(program, dir.file("p.pte")));
  const auto back = load_pte(dir.file("p.pte"));
  ASSERT_TRUE(back) << back.error().message;
  expect_equal(program, *back);
}

// --- Older and other writers. ---

// `file` with its tables changed; segments keep their bytes.
std::vector<std::byte> rebuilt(const std::vector<std::byte>& bytes, const PteFile& file, bool with_header = true) {
  auto out = encode_container(file.table, kSegmentAlignment);
  if (!with_header) return wire::encode(file.table, {.share = false, .identifier = "ET12"});
  const auto base = static_cast<ptrdiff_t>(file.header.segment_base);
  out.insert(out.end(), bytes.begin() + base, bytes.end());
  return out;
}

TEST(Pte, InlineDelegatesLoadWithAndWithoutAHeader) {
  Program program = sample_program();  // without constants nothing needs a segment
  program.chains = {{AddInt{IntOrVid(1), IntOrVid(2), {{0}}}, Tanh{Tid{0}, {{1}}}}};
  program.n_constants = program.n_mutable = program.n_temps = 0;
  program.init_chain = -1;
  program.input_map = {{0, SlotType::kTensor}};
  program.output_map = {{1, SlotType::kTensor}};
  program.mutable_map.clear();
  program.named_slots.clear();
  program.tensor_meta.erase(program.tensor_meta.begin(), program.tensor_meta.begin() + 3);
  program.tensor_meta.pop_back();
  program.data.clear();
  program.constant_methods.erase("get_windows");
  const auto bytes = written(program);
  PteFile file = open_or_fail(bytes);
  const auto payload = encode_payload(program);
  file.table.backend_delegate_data = {{payload}};
  file.table.execution_plan[0].delegates[0].processed = {pte::kInline, 0};
  expect_equal(program, load_or_fail(rebuilt(bytes, file)));
  file.table.segments.reset();
  file.table.named_data.reset();
  file.table.constant_segment.reset();
  const auto bare = rebuilt(bytes, file, false);
  EXPECT_EQ(open_or_fail(bare).header.length, 0u);
  expect_equal(program, load_or_fail(bare));
}

TEST(Pte, ConstantsOfTheDeprecatedBufferLoad) {
  const auto bytes = written(sample_program());
  PteFile file = open_or_fail(bytes);
  const auto windows = bytes_of(std::string(12, '\1')), z = bytes_of("z");
  file.table.constant_segment.reset();
  file.table.constant_buffer = {{}, {windows}, {z}};
  expect_equal(sample_program(), load_or_fail(rebuilt(bytes, file)));
}

TEST(Pte, MethodsAreChosenByName) {
  Program program = sample_program();
  program.method = "prefill";
  const auto bytes = written(program);
  EXPECT_EQ(load_or_fail(bytes).method, "prefill");  // the only one with a delegate
  EXPECT_EQ(load_or_fail(bytes, {.method = "prefill", .ptd_paths = {}}).method, "prefill");
  const auto missing = loaded(bytes, {.method = "decode", .ptd_paths = {}});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  EXPECT_NE(missing.error().message.find("prefill"), std::string::npos) << missing.error().message;

  PteFile file = open_or_fail(bytes);
  auto second = file.table.execution_plan[0];
  second.name = String(std::string("decode"));
  file.table.execution_plan.push_back(second);
  const auto two = rebuilt(bytes, file);
  EXPECT_EQ(load_or_fail(two, {.method = "decode", .ptd_paths = {}}).method, "decode");
  const auto ambiguous = loaded(two);
  ASSERT_FALSE(ambiguous);
  EXPECT_EQ(ambiguous.error().code, ErrorCode::kInvalidArgument);
}

// --- String sharing (section 7). ---

Program with_kernels(const std::vector<std::string>& sources) {
  Program program = sample_program();
  program.chains[1].clear();
  for (const auto& source : sources) program.chains[1].push_back(testing::sample_kernel(Tid{3}, Tid{0}, {{6}}, source));
  program.chains[2] = program.chains[1];
  return program;
}

TEST(StringSharing, EqualSourcesAreWrittenOnce) {
  const std::string source = "kernel body " + std::string(2036, 'k');
  const auto payload = encode_payload(with_kernels(std::vector<std::string>(5, source)));
  EXPECT_EQ(count(payload, source), 1u);
  EXPECT_EQ(count(payload, "#include <metal_stdlib>"), 1u);
  EXPECT_EQ(count(encode_payload(with_kernels(std::vector<std::string>(5, source)), false), source), 10u);
}

TEST(StringSharing, AnyNumberOfEqualKernelsLoads) {
  const auto program = with_kernels(std::vector<std::string>(400, "kernel body"));
  expect_equal(program, load_or_fail(written(program)));
}

TEST(StringSharing, PrefixesAreNotShared) {
  const std::string common = "kernel body " + std::string(2000, 'k');
  const auto payload = encode_payload(with_kernels({common + "1", common + "2", common + "3"}));
  EXPECT_EQ(count(payload, common), 3u);
}

TEST(StringSharing, LoadedKernelsShareOneStringAcrossChains) {
  const auto program = with_kernels(std::vector<std::string>(5, std::string(2048, 'k')));
  const auto identities = [](const Program& p) {
    std::set<const void*> out;
    for (const Chain& chain : {p.chains[1], p.chains[2]}) {
      for (const Node& node : chain) out.insert(std::get<MetalKernel>(node).source.identity());
    }
    return out;
  };
  Program back;
  ASSERT_TRUE(decode_payload(encode_payload(program), 0, back));
  EXPECT_EQ(identities(back).size(), 1u);
  EXPECT_EQ(back.chains, program.chains);
  Program from_unshared;
  ASSERT_TRUE(decode_payload(encode_payload(program, false), 0, from_unshared));
  EXPECT_EQ(identities(from_unshared).size(), 10u);
  EXPECT_EQ(from_unshared.chains, program.chains);
}

// --- Weights elsewhere. ---

TEST(Ptd, CarriesTheWeightsOfAProgramWithoutThem) {
  const TempDir dir;
  const Program program = sample_program();
  ASSERT_TRUE(write_pte(program, dir.file("p.pte"), {.weights = Weights::kPtd}));
  EXPECT_EQ(count(testing::read_bytes(dir.file("p.pte")), std::string(420, 'w')), 0u);
  const auto alone = load_pte(dir.file("p.pte"));
  ASSERT_FALSE(alone);
  EXPECT_EQ(alone.error().code, ErrorCode::kNotFound);
  ASSERT_TRUE(write_ptd(program, dir.file("p.ptd")));
  const auto beside = load_pte(dir.file("p.pte"));  // found by its name
  ASSERT_TRUE(beside) << beside.error().message;
  expect_equal(program, *beside);
  const auto together = load_pte(dir.file("p.pte"), {.method = "", .ptd_paths = {dir.file("p.ptd")}});
  ASSERT_TRUE(together) << together.error().message;
  expect_equal(program, *together);
  const auto again = testing::read_bytes(dir.file("p.ptd"));
  ASSERT_TRUE(write_ptd(*together, dir.file("p2.ptd")));
  EXPECT_EQ(testing::read_bytes(dir.file("p2.ptd")), again);
}

class ExternalTest : public ::testing::Test {
 protected:
  // A weights file with 1000 bytes of header, and a program that references it.
  void SetUp() override {
    testing::write_bytes(dir_.file("model.gguf"), bytes_of(std::string(1000, 'h') + std::string(420, 'w') + "tail"));
    const auto file = MappedFile::open(dir_.file("model.gguf"));
    ASSERT_TRUE(file);
    program_ = sample_program();
    program_.data["weight"] = Data::borrow(*file, 1000, 420);
    const Status status = write_pte(program_, dir_.file("p.pte"), {.weights = Weights::kReference});
    ASSERT_TRUE(status) << status.error().message;
  }
  std::string error() {
    const auto program = load_pte(dir_.file("p.pte"));
    return program ? "" : program.error().message;
  }
  TempDir dir_;
  Program program_;
};

TEST_F(ExternalTest, BorrowsFromTheNamedFile) {
  EXPECT_EQ(count(testing::read_bytes(dir_.file("p.pte")), "www"), 0u);
  EXPECT_EQ(count(testing::read_bytes(dir_.file("p.pte")), std::string(16, 'b')), 1u);  // was not mapped: stays inside
  const auto program = load_pte(dir_.file("p.pte"));
  ASSERT_TRUE(program) << program.error().message;
  expect_equal(program_, *program);
  EXPECT_EQ(program->find_data("weight")->mapped->path(), dir_.file("model.gguf"));
  // Written again, with the weights this time.
  ASSERT_TRUE(write_pte(*program, dir_.file("whole.pte")));
  EXPECT_EQ(testing::read_bytes(dir_.file("whole.pte")), written(program_));
}

TEST_F(ExternalTest, ProgramAndWeightsCanMoveTogether) {
  std::filesystem::create_directory(dir_.path() / "moved");
  for (const auto* name : {"p.pte", "model.gguf"})
    std::filesystem::rename(dir_.file(name), dir_.path() / "moved" / name);
  const auto program = load_pte(dir_.file("moved/p.pte"));
  ASSERT_TRUE(program) << program.error().message;
  expect_equal(program_, *program);
}

TEST_F(ExternalTest, AnotherFileIsRefused) {
  auto bytes = testing::read_bytes(dir_.file("model.gguf"));
  bytes[500] = std::byte{'x'};
  testing::write_bytes(dir_.file("model.gguf"), bytes);
  EXPECT_NE(error().find("not the file the program was made from"), std::string::npos) << error();
  bytes.pop_back();
  testing::write_bytes(dir_.file("model.gguf"), bytes);
  EXPECT_NE(error().find("has 1423 bytes"), std::string::npos) << error();
  std::filesystem::remove(dir_.file("model.gguf"));
  EXPECT_NE(error().find("cannot open"), std::string::npos) << error();
}

TEST_F(ExternalTest, EntriesMustLieInTheFile) {
  External external;
  external.files.push_back({String(std::string("model.gguf")), 1424, 0, 0x2d06800538d394c2, {}});  // XXH3 of nothing
  external.files[0].entries = {{String(std::string("weight")), 1400, 25}};
  const auto result = open_external(wire::encode(external), dir_.file("p.pte"));
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().message.find("past the end"), std::string::npos) << result.error().message;
}

// --- Inspect. ---

TEST(Inspect, TellsWhatIsInside) {
  const TempDir dir;
  ASSERT_TRUE(write_pte(sample_program(), dir.file("p.pte")));
  const auto info = inspect_pte(dir.file("p.pte"));
  ASSERT_TRUE(info) << info.error().message;
  EXPECT_EQ(info->segments.size(), 5u);
  EXPECT_EQ(info->segments[1].content, "delegate of forward");
  EXPECT_EQ(info->segments[3].content, "bias, dummy");
  EXPECT_EQ(info->plans.size(), 7u);
  EXPECT_EQ(info->plans[0].delegates, std::vector<std::string>{"MLXBackend"});
  EXPECT_EQ(info->instructions.at("MetalKernel"), 2u);
  ASSERT_EQ(info->kernels.size(), 1u);
  EXPECT_EQ(info->kernels[0].uses, 2u);
  EXPECT_EQ(info->kernels[0].arguments, "InT=f32, N=4");
  EXPECT_EQ(info->kernels[0].grid, "[32, $0, 1]");
  EXPECT_EQ(info->kernels[0].source_bytes, 500u);
  EXPECT_EQ(info->payload_bytes, info->payload_bytes_shared);
  EXPECT_GT(info->payload_bytes_unshared, info->payload_bytes_shared + 500);
  EXPECT_EQ(info->data.size(), 4u);
  EXPECT_FALSE(info->data[0].external);
  EXPECT_EQ(info->slots.size(), info->program.n_tensors() - info->program.n_temps);
  ASSERT_EQ(info->chains.size(), info->program.chains.size());
  EXPECT_EQ(info->chains[info->program.main_chain].role, "main");
  ASSERT_FALSE(info->branches.empty());
  const BranchInfo& branch = info->branches[0];
  EXPECT_EQ(info->chains[branch.then_chain].role, fmt::format("then of {}.{}", branch.chain, branch.instruction));
}

// 2200 references to one text of 1 MB: without sharing more than a flatbuffer can be.
TEST(Inspect, DoesNotUnfoldWhatIsHuge) {
  Program program = with_kernels({std::string(1 << 20, 'k')});
  for (const size_t chain : {1, 2}) program.chains[chain].resize(1100, program.chains[chain][0]);
  const TempDir dir;
  ASSERT_TRUE(write_pte(program, dir.file("p.pte")));
  const auto info = inspect_pte(dir.file("p.pte"));
  ASSERT_TRUE(info) << info.error().message;
  EXPECT_LT(info->payload_bytes, uint64_t{2} << 20);
  EXPECT_GT(info->payload_bytes_unshared, uint64_t{2200} << 20);
}

}  // namespace
}  // namespace tessera::program
