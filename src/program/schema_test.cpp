// Our codec against the schema compiler's own parser: the written schemas describe exactly the structs in nodes.h,
// graph_tables.h and pte_tables.h, and what the codec writes is what a reader of the schema sees.
#include <flatbuffers/idl.h>
#include <flatbuffers/reflection.h>
#include <gtest/gtest.h>

#include "program/container.h"
#include "program/golden_testing.h"
#include "program/graph_codec.h"
#include "program/graph_tables.h"
#include "program/random_testing.h"
#include "test_util.h"

namespace tessera::program {
namespace {

using wire::Bytes;
using wire::HasTwin;
using wire::IsScalar;
using wire::IsSlot;
using wire::IsTable;
using wire::Twin;

class Schema {
 public:
  explicit Schema(const std::string& name) {
    const auto text = tessera::testing::read_file("src/program/schema/" + name);
    const std::string source(text.begin(), text.end());
    EXPECT_TRUE(parser_.Parse(source.c_str())) << parser_.error_;
    parser_.Serialize();
    schema_ = reflection::GetSchema(parser_.builder_.GetBufferPointer());
  }
  const reflection::Schema& operator*() const { return *schema_; }

  // By unqualified name.
  const reflection::Object* object(std::string_view name) const {
    for (const auto* object : *schema_->objects()) {
      const std::string_view full = object->name()->string_view();
      if (full.substr(full.rfind('.') + 1) == name) return object;
    }
    return nullptr;
  }

 private:
  flatbuffers::Parser parser_;
  const reflection::Schema* schema_ = nullptr;
};

std::vector<const reflection::Field*> fields_by_id(const reflection::Object& object) {
  std::vector<const reflection::Field*> fields(object.fields()->size());
  for (const auto* field : *object.fields()) fields[field->id()] = field;
  return fields;
}

// --- Struct against schema: names, ids, types, defaults, presence. ---

// "int=-1", "[Tid]!" (required), "float?" (optional scalar); as our struct says, and as the schema says.
template <typename T>
std::string scalar_name() {
  if constexpr (std::is_same_v<T, bool>)
    return "bool";
  else if constexpr (std::is_enum_v<T>)
    return scalar_name<std::underlying_type_t<T>>();
  else if constexpr (std::is_floating_point_v<T>)
    return sizeof(T) == 4 ? "f32" : "f64";
  else
    return fmt::format("{}{}", std::is_signed_v<T> ? "i" : "u", 8 * sizeof(T));
}

template <typename T>
struct TypeName {
  static std::string get() {
    if constexpr (IsScalar<T>)
      return scalar_name<T>();
    else if constexpr (IsSlot<T>)
      return std::is_base_of_v<Tid, T> ? "Tid" : "Vid";
    else if constexpr (std::is_same_v<T, String>)
      return "string";
    else if constexpr (std::is_same_v<T, Bytes>)
      return "[u8]";
    else if constexpr (HasTwin<T>)
      return std::string(Twin<T>::Table::kName);
    else
      return std::string(T::kName);
  }
};
template <typename T>
struct TypeName<std::vector<T>> {
  static std::string get() { return "[" + TypeName<T>::get() + "]"; }
};
template <typename T>
struct TypeName<RequiredVector<T>> : TypeName<std::vector<T>> {};
template <wire::IsUnion T>
struct TypeName<T> {
  static std::string get() { return "union"; }
};

template <typename T>
inline constexpr bool kIsList = false;
template <typename T>
inline constexpr bool kIsList<std::vector<T>> = true;

template <typename F>
std::string describe(const F& field) {
  const std::string type = TypeName<F>::get();
  if constexpr (IsScalar<F>)
    return fmt::format("{}={}", type, static_cast<double>(field));
  else if constexpr (kIsList<F> || std::is_same_v<F, Bytes>)
    return type;
  else
    return type + "!";
}
template <typename F>
std::string describe(const std::optional<F>&) {
  return TypeName<F>::get() + (IsScalar<F> ? "?" : "");
}

std::string scalar_name(reflection::BaseType type) {
  switch (type) {
    case reflection::Bool:
      return "bool";
    case reflection::Byte:
      return "i8";
    case reflection::UByte:
      return "u8";
    case reflection::Int:
      return "i32";
    case reflection::UInt:
      return "u32";
    case reflection::Long:
      return "i64";
    case reflection::ULong:
      return "u64";
    case reflection::Float:
      return "f32";
    case reflection::Double:
      return "f64";
    default:
      return "";
  }
}

std::string type_name(const Schema& schema, reflection::BaseType type, int index) {
  if (type == reflection::String) return "string";
  if (type != reflection::Obj) return scalar_name(type);
  const std::string_view full = (*schema).objects()->Get(static_cast<uint32_t>(index))->name()->string_view();
  return std::string(full.substr(full.rfind('.') + 1));
}

std::string describe(const Schema& schema, const reflection::Field& field) {
  const auto* type = field.type();
  const auto base = type->base_type();
  const std::string required = field.required() ? "!" : "";
  if (base == reflection::Union) return "union" + required;
  if (base == reflection::Vector) return "[" + type_name(schema, type->element(), type->index()) + "]" + required;
  const std::string scalar = scalar_name(base);
  if (scalar.empty()) return type_name(schema, base, type->index()) + required;
  if (field.optional()) return scalar + "?";
  const bool is_real = base == reflection::Float || base == reflection::Double;
  return fmt::format("{}={}", scalar, is_real ? field.default_real() : static_cast<double>(field.default_integer()));
}

// What a struct says of itself. `is_strict`: its required fields are the schema's. The container's schemas declare
// nothing required, and its byte vectors, flags and enums are described by what they are stored as.
struct OurTable {
  std::string_view name, field_names;
  std::vector<std::string> types;
};
void expect_described(const Schema& schema, OurTable table, bool is_strict) {
  const auto* object = schema.object(table.name);
  ASSERT_NE(object, nullptr) << table.name;
  const auto line = [&](std::string_view name, std::string type) {
    if (!is_strict && type.ends_with("!")) type.pop_back();
    return fmt::format("{}: {}", name, type);
  };
  std::vector<std::string> ours, theirs;
  for (size_t i = 0; i < table.types.size(); ++i)
    ours.push_back(line(field_name(table.field_names, i), table.types[i]));
  for (const auto* field : fields_by_id(*object)) {
    if (field->type()->base_type() == reflection::UType) continue;  // counted with its union
    theirs.push_back(line(field->name()->string_view(), describe(schema, *field)));
  }
  EXPECT_EQ(ours, theirs) << table.name;
}

template <IsTable T>
void expect_described(const Schema& schema, bool is_strict) {
  OurTable table{T::kName, T::kFieldNames, {}};
  T{}.with_fields([&](const auto&... field) { (table.types.push_back(describe(field)), ...); });
  expect_described(schema, std::move(table), is_strict);
}

template <typename... Ts>
void expect_all_described(const Schema& schema, bool is_strict) {
  (expect_described<Ts>(schema, is_strict), ...);
}

// Alternative i of the variant is member i + 1 of the union.
template <typename... Ts>
void expect_union(const Schema& schema, std::string_view name, const std::variant<Ts...>*) {
  const std::vector<std::string> ours = {std::string(Ts::kName)...};
  std::vector<std::string> theirs;
  for (const auto* enumeration : *(*schema).enums()) {
    if (!enumeration->name()->string_view().ends_with(name)) continue;
    for (const auto* value : *enumeration->values()) {
      ASSERT_EQ(static_cast<size_t>(value->value()), theirs.size());
      theirs.push_back(value->name()->str());
    }
  }
  ASSERT_FALSE(theirs.empty()) << name;
  theirs.erase(theirs.begin());  // NONE
  for (std::string& member : theirs) member = member.substr(member.rfind('.') + 1);
  EXPECT_EQ(ours, theirs) << name;
}

TEST(Schema, MlxGraphIsWhatTheStructsSay) {
  const Schema schema("mlx_graph.fbs");
  []<typename... Ts>(const Schema& s, const std::variant<Ts...>*) { expect_all_described<Ts...>(s, true); }(
      schema, static_cast<const Node*>(nullptr));
  expect_all_described<wire::IntOrVidTable, wire::FloatOrVidTable, wire::VidOrTidTable, wire::IntOrVidOrTidTable,
                       wire::ShapeDimTable, wire::TensorMetaTable, wire::NamedSlotTable, wire::ChainTable,
                       wire::GraphTable, wire::InstructionTable>(schema, true);
  expect_union(schema, "OpNode", static_cast<const Node*>(nullptr));
}

TEST(Schema, ContainersAreWhatTheStructsSay) {
  const Schema schema("program.fbs");
  expect_all_described<pte::ContainerMetadata, pte::Null, pte::AllocationDetails, pte::ExtraTensorInfo, pte::Tensor,
                       pte::Int, pte::Bool, pte::Double, pte::Text, pte::IntList, pte::DoubleList, pte::TensorList,
                       pte::OptionalTensorList, pte::EValue, pte::Operator, pte::KernelCall, pte::DelegateCall,
                       pte::MoveCall, pte::JumpFalseCall, pte::FreeCall, pte::Instruction, pte::Frame, pte::FrameList,
                       pte::DelegateDataReference, pte::CompileSpec, pte::BackendDelegate, pte::Chain,
                       pte::NonConstBufferDevice, pte::ExecutionPlan, pte::Buffer, pte::InlineData, pte::DataSegment,
                       pte::SubsegmentOffsets, pte::NamedData, pte::Program>(schema, false);
  expect_union(schema, "KernelTypes", static_cast<const pte::KernelTypes*>(nullptr));
  expect_union(schema, "InstructionArguments", static_cast<const decltype(pte::Instruction::instr_args)*>(nullptr));
  const Schema flat("flat_tensor.fbs");
  expect_all_described<ptd::TensorLayout, ptd::NamedData, ptd::FlatTensor, pte::DataSegment>(flat, false);
}

// --- Written bytes against the schema: verified, and read field by field. ---

std::string text_of(const Schema& schema, const reflection::Object& object, const flatbuffers::Table& table);

std::string text_of_element(const Schema& schema, const reflection::Type& type, const flatbuffers::VectorOfAny& vector,
                            size_t i) {
  switch (type.element()) {
    case reflection::String:
      return flatbuffers::GetAnyVectorElemS(&vector, reflection::String, i);
    case reflection::Float:
    case reflection::Double:
      return fmt::format("{}", flatbuffers::GetAnyVectorElemF(&vector, type.element(), i));
    case reflection::Obj:
      break;
    default:
      return fmt::format("{}", flatbuffers::GetAnyVectorElemI(&vector, type.element(), i));
  }
  const auto& object = *(*schema).objects()->Get(static_cast<uint32_t>(type.index()));
  if (!object.is_struct()) {
    return text_of(schema, object, *flatbuffers::GetAnyVectorElemPointer<const flatbuffers::Table>(&vector, i));
  }
  return fmt::format("#{}", *flatbuffers::GetAnyVectorElemAddressOf<const uint32_t>(
                                &vector, i, static_cast<size_t>(object.bytesize())));
}

// "name=value " when the field is there or has a default; "" when it is absent.
std::string text_of(const Schema& schema, const reflection::Object& parent, const reflection::Field& field,
                    const flatbuffers::Table& table) {
  const auto* type = field.type();
  const std::string name = field.name()->str() + "=";
  const bool is_present = table.GetOptionalFieldOffset(field.offset()) != 0;
  switch (type->base_type()) {
    case reflection::UType:
      return "";
    case reflection::String:
      return is_present ? name + flatbuffers::GetFieldS(table, field)->str() + " " : "";
    case reflection::Vector: {
      if (!is_present) return "";
      const auto& vector = *flatbuffers::GetFieldAnyV(table, field);
      std::string text;
      for (uint32_t i = 0; i < vector.size(); ++i) text += text_of_element(schema, *type, vector, i) + ",";
      return name + "[" + text + "] ";
    }
    case reflection::Union: {
      if (!is_present) return "";
      const auto& object = flatbuffers::GetUnionType(*schema, parent, field, table);
      const std::string_view full = object.name()->string_view();
      return fmt::format("{}{}{} ", name, full.substr(full.rfind('.') + 1),
                         text_of(schema, object, *flatbuffers::GetFieldT(table, field)));
    }
    case reflection::Obj: {
      if (!is_present) return "";
      const auto& object = *(*schema).objects()->Get(static_cast<uint32_t>(type->index()));
      if (!object.is_struct()) return name + text_of(schema, object, *flatbuffers::GetFieldT(table, field)) + " ";
      return fmt::format("{}#{} ", name, *table.GetStruct<const uint32_t*>(field.offset()));
    }
    case reflection::Float:
    case reflection::Double:
      if (field.optional() && !is_present) return "";
      return fmt::format("{}{} ", name, flatbuffers::GetAnyFieldF(table, field));
    default:
      if (field.optional() && !is_present) return "";
      return fmt::format("{}{} ", name, flatbuffers::GetAnyFieldI(table, field));
  }
}

std::string text_of(const Schema& schema, const reflection::Object& object, const flatbuffers::Table& table) {
  std::string text = "{";
  for (const auto* field : fields_by_id(object)) text += text_of(schema, object, *field, table);
  return text + "}";
}

// The same text from our structs.
struct OurText {
  template <typename T>
  static std::string value(const T& v) {
    if constexpr (std::is_floating_point_v<T>)
      return fmt::format("{}", static_cast<double>(v));
    else if constexpr (IsScalar<T>)
      return fmt::format("{}", static_cast<int64_t>(v));
    else if constexpr (IsSlot<T>)
      return fmt::format("#{}", v.idx);
    else if constexpr (HasTwin<T>)
      return value(Twin<T>::to_wire(v));
    else
      return table(v);
  }
  static std::string value(const String& v) { return v.str(); }
  static std::string value(const Bytes& v) {
    std::string text;
    for (const std::byte b : v) text += fmt::format("{},", static_cast<int>(b));
    return "[" + text + "]";
  }
  template <typename T>
  static std::string value(const std::vector<T>& v) {
    std::string text;
    for (const T& item : v) text += value(item) + ",";
    return "[" + text + "]";
  }
  template <typename T>
  static std::string value(const RequiredVector<T>& v) {
    return value(static_cast<const std::vector<T>&>(v));
  }
  template <typename T>
  static std::string field(std::string_view name, const T& v) {
    return fmt::format("{}={} ", name, value(v));
  }
  template <typename T>
  static std::string field(std::string_view name, const std::optional<T>& v) {
    return v ? fmt::format("{}={} ", name, value(*v)) : "";
  }
  template <typename T>
  static std::string field(std::string_view name, const std::vector<T>& v) {
    return v.empty() ? "" : fmt::format("{}={} ", name, value(v));
  }
  static std::string field(std::string_view name, const Bytes& v) {
    return v.empty() ? "" : fmt::format("{}={} ", name, value(v));
  }
  template <wire::IsUnion Union>
  static std::string field(std::string_view name, const Union& v) {
    return std::visit(
        [&]<typename T>(const T& alternative) { return fmt::format("{}={}{} ", name, T::kName, table(alternative)); },
        v);
  }
  template <typename T>
  static std::string table(const T& t) {
    std::string text = "{";
    t.with_fields([&](const auto&... f) {
      [[maybe_unused]] size_t i = 0;
      (append(text, field_name(T::kFieldNames, i++), f), ...);
    });
    return text + "}";
  }
  template <typename F>
  [[gnu::noinline]] static void append(std::string& text, std::string_view name, const F& f) {  // compiled once a type
    text += field(name, f);
  }
};

// Verifies `bytes` as a table `name` of the schema and returns what a reader of the schema sees in it.
std::string read_by_schema(const Schema& schema, std::string_view name, std::span<const std::byte> bytes) {
  const auto* object = schema.object(name);
  const auto* data = reinterpret_cast<const uint8_t*>(bytes.data());
  const bool is_valid = flatbuffers::Verify(*schema, *object, data, bytes.size());
  EXPECT_TRUE(is_valid) << name;
  return is_valid ? text_of(schema, *object, *flatbuffers::GetRoot<flatbuffers::Table>(data)) : "";
}

TEST(Schema, ReadsEveryNodeTheCodecWrites) {
  const Schema schema("mlx_graph.fbs");
  auto rng = tessera::testing::fresh_rng();
  testing::Randomiser random(rng);
  for (size_t kind = 0; kind < std::variant_size_v<NodeVariant>; ++kind) {
    for (int repeat = 0; repeat < 5; ++repeat) {
      const wire::InstructionTable instruction{random.node(kind)};
      ASSERT_EQ(read_by_schema(schema, "Instruction", wire::encode(instruction)), OurText::table(instruction));
    }
  }
}

TEST(Schema, ReadsTheGoldenFileAsTheCodecDoes) {
  const auto bytes = testing::tiny_pte();
  const auto file = PteFile::open(bytes);
  ASSERT_TRUE(file) << file.error().message;
  const Schema schema("program.fbs");
  const auto flatbuffer = std::span(bytes).first(file->header.flatbuffer_end);
  EXPECT_EQ(read_by_schema(schema, "Program", flatbuffer), OurText::table(file->table));
}

TEST(Schema, ReadsContainersTheCodecWrites) {
  const auto bytes = testing::tiny_pte();
  const auto file = PteFile::open(bytes);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(read_by_schema(Schema("program.fbs"), "Program", wire::encode(file->table, {.identifier = "ET12"})),
            OurText::table(file->table));
  const auto flat_bytes = testing::tiny_ptd();
  const auto flat = PtdFile::open(flat_bytes);
  ASSERT_TRUE(flat) << flat.error().message;
  EXPECT_EQ(read_by_schema(Schema("flat_tensor.fbs"), "FlatTensor", wire::encode(flat->table, {.identifier = "FT01"})),
            OurText::table(flat->table));
}

}  // namespace
}  // namespace tessera::program
