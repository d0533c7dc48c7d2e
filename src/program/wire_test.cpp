#include "program/wire.h"

#include <gtest/gtest.h>

#include "program/graph_tables.h"
#include "program/random_testing.h"
#include "test_util.h"

namespace tessera::program::wire {
namespace {

template <typename T>
T decoded(const std::vector<std::byte>& bytes) {
  auto result = decode<T>(bytes);
  EXPECT_TRUE(result) << result.error().message;
  return result ? *std::move(result) : T{};
}

std::string error_of(const std::vector<std::byte>& bytes) {
  const auto result = decode<InstructionTable>(bytes);
  return result ? "" : result.error().message;
}

bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

TEST(Wire, EveryNodeRoundTrips) {
  auto rng = tessera::testing::fresh_rng();
  testing::Randomiser random(rng);
  for (size_t kind = 0; kind < std::variant_size_v<NodeVariant>; ++kind) {
    for (int repeat = 0; repeat < 20; ++repeat) {
      const Node node = random.node(kind);
      const auto bytes = encode(InstructionTable{node});
      ASSERT_EQ(decoded<InstructionTable>(bytes).op, node) << name_of(node);
      ASSERT_EQ(encode(InstructionTable{node}), bytes) << name_of(node);
    }
  }
}

TEST(Wire, EveryNodeRoundTripsWithDefaults) {
  for (size_t kind = 0; kind < std::variant_size_v<NodeVariant>; ++kind) {
    auto rng = std::mt19937_64(0);
    Node node = testing::Randomiser(rng).node(kind);
    std::visit([](auto& n) { n = {}; }, node);
    EXPECT_EQ(decoded<InstructionTable>(encode(InstructionTable{node})).op, node) << name_of(node);
  }
}

TEST(Wire, OptionalScalarsAreWrittenWhenZero) {
  UpdateAndAttend node;
  node.layer_id = 0;
  node.scale = 0.0f;
  const auto out = std::get<UpdateAndAttend>(decoded<InstructionTable>(encode(InstructionTable{node})).op);
  EXPECT_EQ(out.layer_id, 0);
  EXPECT_EQ(out.scale, 0.0f);
  EXPECT_EQ(out.out_dtype, std::nullopt);
}

TEST(Wire, NegativeZeroIsNotADefault) {
  Pad node;
  node.constant_value = -0.0f;
  const auto out = std::get<Pad>(decoded<InstructionTable>(encode(InstructionTable{node})).op);
  EXPECT_TRUE(std::signbit(out.constant_value));
}

TEST(Wire, FieldsAnOlderWriterDidNotKnowKeepTheirDefaults) {
  // A GatherMm without its last field, as written before August 2026, is what an absent optional looks like.
  GatherMm node;
  node.sorted_indices = true;
  const auto out = std::get<GatherMm>(decoded<InstructionTable>(encode(InstructionTable{node})).op);
  EXPECT_FALSE(out.sorted_indices_flag.has_value());
}

// --- Strings. ---

TEST(Wire, EqualStringsAreStoredOnceAndBecomeOneString) {
  MetalKernel kernel;
  kernel.source = String(std::string(2000, 's'));
  kernel.name = String(std::string(2000, 's'));
  const auto shared = encode(InstructionTable{kernel}), unshared = encode(InstructionTable{kernel}, {.share = false});
  EXPECT_LT(shared.size() + 1900, unshared.size());
  const auto from_shared = std::get<MetalKernel>(decoded<InstructionTable>(shared).op);
  EXPECT_EQ(from_shared, kernel);
  EXPECT_EQ(from_shared.source.identity(), from_shared.name.identity());
  const auto from_unshared = std::get<MetalKernel>(decoded<InstructionTable>(unshared).op);
  EXPECT_EQ(from_unshared, kernel);
  EXPECT_NE(from_unshared.source.identity(), from_unshared.name.identity());
}

TEST(Wire, EqualTablesAndVectorsAreStoredOnce) {
  MetalKernel kernel;
  kernel.grid = {1, 2, 3};
  kernel.threadgroup = {1, 2, 3};
  kernel.output_shapes_flat = {3, 2, 1, Vid{1}};
  kernel.input_names = {String("x"), String("w")};
  kernel.output_names = {String("x"), String("w")};
  MetalKernel other = kernel;
  other.grid[1] = 7;  // all but one of the operands have been written before
  const auto once = encode(InstructionTable{kernel}), shared = encode(ChainTable{{{kernel}, {kernel}, {other}}}),
             unshared = encode(ChainTable{{{kernel}, {kernel}, {other}}}, {.share = false});
  EXPECT_LT(shared.size(), once.size() + 200);
  EXPECT_GT(unshared.size(), 3 * once.size());
  for (const auto& bytes : {shared, unshared}) {
    const auto chain = decoded<ChainTable>(bytes);
    ASSERT_EQ(chain.instructions.size(), 3u);
    EXPECT_EQ(std::get<MetalKernel>(chain.instructions[1].op), kernel);
    EXPECT_EQ(std::get<MetalKernel>(chain.instructions[2].op), other);
  }
}

// --- What must be refused. Tables whose fields are looser than the real ones write what no good writer would. ---

struct LooseOperand {
  int64_t literal = 0;
  std::optional<Vid> vid;
  std::optional<Tid> tid;
  uint8_t kind = 0;
  TESSERA_FIELDS(IntOrVidOrTid, literal, vid, tid, kind)
};
struct LooseTake {
  std::optional<Tid> x, out;
  std::optional<LooseOperand> index;
  int32_t axis = 0;
  TESSERA_FIELDS(Take, x, out, index, axis)
};
// An instruction with any tag, around a Take.
struct LooseInstruction {
  uint8_t op_type = 0;
  std::optional<LooseTake> op;
  TESSERA_FIELDS(Instruction, op_type, op)
};

std::vector<std::byte> take_with(const LooseOperand& index) {
  return encode(LooseInstruction{Take::kTag, LooseTake{Tid{1}, Tid{2}, index, 0}});
}

TEST(Wire, OperandsMustHaveTheSlotTheirKindSelects) {
  LooseOperand operand;
  EXPECT_EQ(error_of(take_with(operand)), "");
  operand.kind = 1;
  EXPECT_TRUE(contains(error_of(take_with(operand)), "vid is missing")) << error_of(take_with(operand));
  operand.vid = Vid{3};
  EXPECT_EQ(error_of(take_with(operand)), "");
  operand.kind = 2;
  EXPECT_TRUE(contains(error_of(take_with(operand)), "tid is missing"));
  operand.kind = 3;
  EXPECT_TRUE(contains(error_of(take_with(operand)), "kind must be"));
}

TEST(Wire, VidFlagWithoutVidIsRefused) {
  const struct {
    bool is_vid;
    std::string_view error;
  } cases[] = {{true, "vid is missing"}, {false, "tid is missing"}};
  for (const auto& c : cases) {
    VidOrTidTable table;
    table.is_vid = c.is_vid;
    VidOrTid out;
    EXPECT_TRUE(contains(Twin<VidOrTid>::from_wire(table, out), c.error));
  }
  IntOrVidTable table;
  table.is_vid = true;
  IntOrVid out;
  EXPECT_TRUE(contains(Twin<IntOrVid>::from_wire(table, out), "vid is missing"));
}

TEST(Wire, NamesHaveALimit) {
  NamedSlot out;
  EXPECT_EQ(Twin<NamedSlot>::from_wire({String(std::string(4096, 'n')), {}}, out), "");
  EXPECT_EQ(out.name.size(), 4096u);
  EXPECT_TRUE(contains(Twin<NamedSlot>::from_wire({String(std::string(4097, 'n')), {}}, out), "more than 4096 bytes"));
}

TEST(Wire, MissingRequiredFieldsAreNamed) {
  const LooseTake take{Tid{1}, std::nullopt, LooseOperand(), 0};
  const auto message = error_of(encode(LooseInstruction{Take::kTag, take}));
  EXPECT_TRUE(contains(message, "Take.out: offset")) << message;
  EXPECT_TRUE(contains(message, "required field is missing")) << message;
}

TEST(Wire, UnknownUnionTagsNameANewerSchema) {
  const auto result = decode<InstructionTable>(encode(LooseInstruction{200, LooseTake{}}));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kNotImplemented);
  EXPECT_TRUE(contains(result.error().message, "union tag 200")) << result.error().message;
  EXPECT_TRUE(contains(result.error().message, "newer schema")) << result.error().message;
}

TEST(Wire, UnionTagAndValueMustAgree) {
  EXPECT_TRUE(contains(error_of(encode(LooseInstruction{0, LooseTake{}})), "union tag 0 with a value"));
  EXPECT_TRUE(contains(error_of(encode(LooseInstruction{Take::kTag, std::nullopt})), "without a value"));
  EXPECT_TRUE(contains(error_of(encode(LooseInstruction{0, std::nullopt})), "required union is missing"));
}

TEST(Wire, VectorsHaveALimit) {
  Transpose node;
  node.perm.resize(1'000'001);
  EXPECT_TRUE(contains(error_of(encode(InstructionTable{node})), "at most 1000000"));
  node.perm.resize(1'000'000);
  EXPECT_EQ(error_of(encode(InstructionTable{node})), "");
}

TEST(Wire, SharedTablesCannotUnfoldWithoutEnd) {
  // 100000 offsets to one instruction with a vector of 1000 numbers: 400 KB that would decode into 400 MB.
  flatbuffers::FlatBufferBuilder builder;
  const std::vector<int32_t> numbers(1000, 7);
  const uint32_t tid = 1;
  const auto vector = builder.CreateVector(numbers);
  auto start = builder.StartTable();
  builder.AddElement(4, tid);
  builder.AddElement(6, tid);
  builder.AddOffset(8, vector);
  const flatbuffers::Offset<void> transpose(builder.EndTable(start));
  start = builder.StartTable();
  builder.AddElement<uint8_t>(4, Transpose::kTag);
  builder.AddOffset(6, transpose);
  const flatbuffers::Offset<void> instruction(builder.EndTable(start));
  const auto instructions = builder.CreateVector(std::vector<flatbuffers::Offset<void>>(100'000, instruction));
  start = builder.StartTable();
  builder.AddOffset(4, instructions);
  builder.Finish(flatbuffers::Offset<void>(builder.EndTable(start)));
  const auto result = decode<ChainTable>(std::as_bytes(std::span(builder.GetBufferPointer(), builder.GetSize())));
  ASSERT_FALSE(result);
  EXPECT_TRUE(contains(result.error().message, "shared too often")) << result.error().message;
}

TEST(Wire, EveryTruncationAndByteFlipIsHandled) {
  auto rng = tessera::testing::fresh_rng();
  testing::Randomiser random(rng);
  for (size_t kind = 0; kind < std::variant_size_v<NodeVariant>; ++kind) {
    const auto bytes = encode(InstructionTable{random.node(kind)});
    for (size_t size = 0; size < bytes.size(); ++size) {  // an exact copy, so that reading past the end is seen
      const std::vector<std::byte> part(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(size));
      static_cast<void>(decode<InstructionTable>(part).has_value());
    }
    for (size_t at = 0; at < bytes.size(); ++at) {
      auto flipped = bytes;
      flipped[at] ^= static_cast<std::byte>(1 + rng() % 255);
      const auto result = decode<InstructionTable>(flipped);
      if (result) encode(*result);  // whatever was read can be written
    }
  }
}

}  // namespace
}  // namespace tessera::program::wire
