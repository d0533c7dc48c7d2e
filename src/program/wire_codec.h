// The machinery of program/wire.h. A FieldCodec is what to do with one C++ type of field: about thirty exist. A
// TableCodec is a table's list of (field id, place in the struct, FieldCodec); Encoder and Decoder walk such lists
// without being templates, so 134 node types cost 134 short lists and not 134 codecs (which took 40 s to compile).
#pragma once

#include <flatbuffers/flatbuffer_builder.h>

#include <bit>
#include <optional>
#include <string>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "program/fields.h"
#include "program/slots.h"
#include "program/wire_reader.h"

namespace tessera::program::wire {

// [u8] borrowed from the buffer it was decoded from; its contents are aligned to 16 when written.
using Bytes = std::span<const std::byte>;

// Twin<T>::Table is the wire table of T. to_wire(const T&) -> Table; from_wire(Table, T&) -> "" or what is wrong.
template <typename T>
struct Twin;

template <typename T>
concept HasTwin = requires {
  typename Twin<T>::Table;
};
template <typename T>
concept IsTable = requires {
  T::kFieldNames;
};
template <typename T>
concept IsScalar = std::is_arithmetic_v<T> || std::is_enum_v<T>;
template <typename T>
concept IsSlot = std::is_base_of_v<Tid, T> || std::is_base_of_v<Vid, T>;

class Encoder;
class Decoder;
using Offset = uint32_t;  // as FlatBufferBuilder counts; 0 is "nothing written"

struct FieldCodec {
  // Writes what lies outside the table, if anything.
  Offset (*write_child)(Encoder& out, const void* field);
  // Adds the inline part to the open table if it is `width` bytes wide.
  void (*add)(Encoder& out, size_t width, size_t id, const void* field, const void* default_value, Offset child);
  Status (*read)(Decoder& in, const Reader::Table& table, size_t id, void* field);
};

struct TableCodec {
  struct Field {
    size_t id;
    ptrdiff_t place;  // bytes from the start of the struct
    const FieldCodec* codec;
  };
  std::string_view name, field_names;
  const void* defaults;  // a default-constructed struct
  std::vector<Field> fields;
};

template <IsTable T>
const TableCodec& table_codec();

// With sharing, equal strings, vectors and tables are stored once. Children are written before what refers to them, so
// equal things have children at equal offsets, and comparing their own bytes is enough.
class Encoder {
 public:
  explicit Encoder(bool share) : share_(share) {}

  Offset write(const TableCodec& codec, const void* table);
  Offset write(const String& text);
  Offset write(Bytes bytes);
  template <typename E>
  Offset write(const std::vector<E>& items);
  template <HasTwin T>
  Offset write(const T& value) {
    const typename Twin<T>::Table table = Twin<T>::to_wire(value);
    return write(table);
  }
  template <IsTable T>
  Offset write(const T& table) {
    return write(table_codec<T>(), &table);
  }

  // Fields of the table being written.
  template <typename T>
  void add_scalar(size_t id, T bits) {
    inline_fields_.push_back({id, bits, sizeof(T), false});
  }
  void add_offset(size_t id, Offset child) {
    if (child != 0) inline_fields_.push_back({id, child, sizeof(Offset), true});
  }

  std::vector<std::byte> finish(Offset root, const char* identifier);

 private:
  struct InlineField {
    size_t id;
    uint64_t bits;
    size_t width;
    bool is_offset;
  };
  Offset write_inline_fields();
  template <typename T>
  Offset write_elements(const std::vector<T>& elements);
  // Where an equal thing was written, or what `write` returns now.
  template <typename F>
  Offset once(std::string key, const F& write) {
    if (!share_) return write();
    const auto [found, is_new] = written_.emplace(std::move(key), 0);
    if (is_new) found->second = write();
    return found->second;
  }

  flatbuffers::FlatBufferBuilder builder_;
  bool share_;
  std::unordered_map<std::string, Offset> written_;
  std::vector<InlineField> inline_fields_;
};

class Decoder {
 public:
  explicit Decoder(Reader reader) : in(std::move(reader)) {}

  Status read(const TableCodec& codec, size_t pos, void* table);
  Status read(size_t pos, String& out);
  Status read(size_t pos, Bytes& out);
  template <typename E>
  Status read(size_t pos, std::vector<E>& out);
  template <HasTwin T>
  Status read(size_t pos, T& out) {
    typename Twin<T>::Table table;
    TRY(read(pos, table));
    const std::string_view wrong = Twin<T>::from_wire(std::move(table), out);
    if (!wrong.empty()) return in.error(pos, "{}", wrong);
    return {};
  }
  template <IsTable T>
  Status read(size_t pos, T& out) {
    return read(table_codec<T>(), pos, &out);
  }

  // A union's tag, from 1 to `last_tag`, and where its value is.
  struct UnionValue {
    size_t tag, pos;
  };
  Result<UnionValue> read_union(const Reader::Table& table, size_t id, size_t last_tag);

  Reader in;
};

// The unsigned integer with the bits of a scalar or slot.
template <typename T>
auto bits_of(const T& value) {
  if constexpr (IsSlot<T>)
    return value.idx;
  else if constexpr (sizeof(T) == 1)
    return static_cast<uint8_t>(value);
  else if constexpr (sizeof(T) == 2)
    return std::bit_cast<uint16_t>(value);
  else if constexpr (sizeof(T) == 4)
    return std::bit_cast<uint32_t>(value);
  else
    return std::bit_cast<uint64_t>(value);
}

template <typename T>
void load(const Reader& in, size_t pos, T& out) {
  if constexpr (IsSlot<T>)
    out.idx = in.load<uint32_t>(pos);
  else if constexpr (std::is_same_v<T, bool>)
    out = in.load<uint8_t>(pos) != 0;
  else
    out = in.load<T>(pos);
}

template <typename E>
Offset Encoder::write(const std::vector<E>& items) {
  if constexpr (IsScalar<E> || IsSlot<E>) {
    std::vector<decltype(bits_of(std::declval<E>()))> bits;
    bits.reserve(items.size());
    for (const E& item : items) bits.push_back(bits_of(item));
    return write_elements(bits);
  } else {
    std::vector<flatbuffers::Offset<void>> offsets;
    offsets.reserve(items.size());
    for (const E& item : items) offsets.emplace_back(write(item));
    return write_elements(offsets);
  }
}

template <typename T>
Offset Encoder::write_elements(const std::vector<T>& elements) {
  constexpr bool kIsOffset = std::is_same_v<T, flatbuffers::Offset<void>>;
  std::string key = kIsOffset ? "offsets" : fmt::format("scalars of {}", sizeof(T));
  key.append(reinterpret_cast<const char*>(elements.data()), elements.size() * sizeof(T));
  return once(std::move(key), [&] { return builder_.CreateVector(elements.data(), elements.size()).o; });
}

template <typename E>
Status Decoder::read(size_t pos, std::vector<E>& out) {
  if constexpr (IsScalar<E> || IsSlot<E>) {
    const auto vector = TRY(in.vector(pos, sizeof(E)));
    out.resize(vector.count);
    for (size_t i = 0; i < vector.count; ++i) load(in, vector.pos + i * sizeof(E), out[i]);
  } else {
    const auto vector = TRY(in.vector(pos, sizeof(uint32_t)));
    for (size_t i = 0; i < vector.count; ++i) {
      const size_t target = TRY(in.follow(vector.pos + i * sizeof(uint32_t)));
      TRY(read(target, out.emplace_back()));
    }
  }
  return {};
}

// --- One FieldCodec per type of field. ---

template <typename F>
inline constexpr bool kMayBeAbsent = IsScalar<F> || std::is_same_v<F, Bytes>;
template <typename E>
inline constexpr bool kMayBeAbsent<std::vector<E>> = true;

// A field that is always there, or that says itself when it is not.
template <typename F>
struct PlainField {
  static constexpr bool kInline = IsScalar<F> || IsSlot<F>;
  static constexpr size_t kWidth = IsScalar<F> ? sizeof(F) : sizeof(uint32_t);

  static Offset write_child(Encoder& out, const F& field) {
    if constexpr (kInline)
      return 0;
    else if constexpr (kMayBeAbsent<F>)
      return field.empty() ? 0 : out.write(field);
    else
      return out.write(field);
  }
  static void add(Encoder& out, size_t width, size_t id, const F& field, const F& default_value, Offset child) {
    if (width != kWidth) return;
    if constexpr (!kInline)
      out.add_offset(id, child);
    else if (IsSlot<F> || bits_of(field) != bits_of(default_value))
      out.add_scalar(id, bits_of(field));
  }
  static Status read(Decoder& in, const Reader::Table& table, size_t id, F& field) {
    const size_t pos = TRY(in.in.field(table, id, kWidth));
    if (pos != 0) return read_present(in, pos, field);
    if (kMayBeAbsent<F>) return {};
    return in.in.error(table.pos, "required field is missing");
  }
  static Status read_present(Decoder& in, size_t pos, F& field) {
    if constexpr (kInline) {
      load(in.in, pos, field);
      return {};
    } else {
      const size_t target = TRY(in.in.follow(pos));
      return in.read(target, field);
    }
  }
};

template <typename F>
struct OptionalField {
  using Plain = PlainField<F>;
  using Field = std::optional<F>;

  static Offset write_child(Encoder& out, const Field& field) {
    if constexpr (Plain::kInline)
      return 0;
    else
      return field ? out.write(*field) : 0;
  }
  static void add(Encoder& out, size_t width, size_t id, const Field& field, const Field&, Offset child) {
    if (width != Plain::kWidth || !field) return;
    if constexpr (Plain::kInline)
      out.add_scalar(id, bits_of(*field));
    else
      out.add_offset(id, child);
  }
  static Status read(Decoder& in, const Reader::Table& table, size_t id, Field& field) {
    const size_t pos = TRY(in.in.field(table, id, Plain::kWidth));
    if (pos == 0) return {};
    return Plain::read_present(in, pos, field.emplace());
  }
};

// Alternative i has tag i + 1; NONE is not among them.
template <typename... Ts>
struct UnionField {
  using Field = std::variant<Ts...>;
  static Offset write_child(Encoder& out, const Field& field) {
    using Write = Offset (*)(Encoder&, const Field&);
    static constexpr Write kWriters[] = {&write_alternative<Ts>...};
    return kWriters[field.index()](out, field);
  }
  static void add(Encoder& out, size_t width, size_t id, const Field& field, const Field&, Offset child) {
    if (width == sizeof(uint32_t)) out.add_offset(id + 1, child);
    if (width == 1) out.add_scalar(id, static_cast<uint8_t>(field.index() + 1));
  }
  static Status read(Decoder& in, const Reader::Table& table, size_t id, Field& field) {
    using Read = Status (*)(Decoder&, size_t, Field&);
    static constexpr Read kReaders[] = {&read_alternative<Ts>...};
    const auto value = TRY(in.read_union(table, id, sizeof...(Ts)));
    return kReaders[value.tag - 1](in, value.pos, field);
  }

 private:
  template <typename T>
  static Offset write_alternative(Encoder& out, const Field& field) {
    return out.write(table_codec<T>(), std::get_if<T>(&field));
  }
  template <typename T>
  static Status read_alternative(Decoder& in, size_t pos, Field& field) {
    return in.read(table_codec<T>(), pos, &field.template emplace<T>());
  }
};

// Of a variant, or of what is one.
template <typename... Ts>
UnionField<Ts...> union_field(const std::variant<Ts...>*);
template <typename F>
concept IsUnion = requires(const F* field) {
  union_field(field);
};

template <typename F>
struct FieldCodecOf : PlainField<F> {};
template <typename F>
struct FieldCodecOf<std::optional<F>> : OptionalField<F> {};
template <IsUnion F>
struct FieldCodecOf<F> : decltype(union_field(static_cast<const F*>(nullptr))) {};

template <typename F>
inline constexpr size_t kIds = 1;
template <IsUnion F>
inline constexpr size_t kIds<F> = 2;

template <typename F>
inline constexpr FieldCodec kFieldCodec = {
    [](Encoder& out, const void* field) { return FieldCodecOf<F>::write_child(out, *static_cast<const F*>(field)); },
    [](Encoder& out, size_t width, size_t id, const void* field, const void* default_value, Offset child) {
      FieldCodecOf<F>::add(out, width, id, *static_cast<const F*>(field), *static_cast<const F*>(default_value), child);
    },
    [](Decoder& in, const Reader::Table& table, size_t id, void* field) {
      return FieldCodecOf<F>::read(in, table, id, *static_cast<F*>(field));
    },
};

template <IsTable T>
const TableCodec& table_codec() {
  static const T kDefaults{};
  static const TableCodec kCodec = [] {
    TableCodec codec{T::kName, T::kFieldNames, &kDefaults, {}};
    size_t id = 0;
    kDefaults.with_fields([&]<typename... F>(const F&... field) {
      [[maybe_unused]] const auto place = [](const auto& f) {
        return reinterpret_cast<const char*>(&f) - reinterpret_cast<const char*>(&kDefaults);
      };
      ((codec.fields.push_back({id, place(field), &kFieldCodec<F>}), id += kIds<F>), ...);
    });
    return codec;
  }();
  return kCodec;
}

}  // namespace tessera::program::wire
