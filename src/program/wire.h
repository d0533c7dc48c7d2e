// One codec for every table of every schema here: encode and decode walk a struct's fields() (program/fields.h), and
// the C++ type of a field says everything about its wire form. Adding a node or a table is adding its struct.
//
//   C++ type                          on the wire
//   arithmetic, enum                  inline; left out when it has the bits of a default-constructed struct's field
//   Tid, Out, Vid, VidOut             inline struct of 4 bytes, required
//   String, RequiredVector<E>, table  offset, required
//   std::vector<E>, Bytes             offset, left out when empty
//   std::optional<any of these>       absent or present; scalars are written even when they equal a default
//   std::variant<...>                 union, required: tag (id n) = index + 1, offset (id n + 1)
//
// A type whose memory form differs from its table has a Twin. Vectors hold scalars, slots, strings or tables.
// How it is done, one FieldCodec per type of field and a list of them per table: program/wire_codec.h.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "program/wire_codec.h"

namespace tessera::program::wire {

struct EncodeOptions {
  bool share = true;                 // equal strings, vectors and tables are stored once
  const char* identifier = nullptr;  // 4 letters at byte 4
};

template <IsTable T>
std::vector<std::byte> encode(const T& root, const EncodeOptions& options = {}) {
  Encoder encoder(options.share);
  return encoder.finish(encoder.write(table_codec<T>(), &root), options.identifier);
}

struct DecodeOptions {
  uint64_t file_offset = 0;  // of the buffer in its file, for errors
  uint64_t max_elements = 1'000'000;
};

// Bytes fields of the result borrow from `buffer`. Errors: kInvalidFormat; kNotImplemented for an unknown union tag.
template <IsTable T>
Result<T> decode(std::span<const std::byte> buffer, const DecodeOptions& options = {}) {
  Decoder decoder(Reader(buffer, options.file_offset, options.max_elements));
  T out;
  const size_t root = TRY(decoder.in.root());
  TRY(decoder.read(table_codec<T>(), root, &out));
  return out;
}

}  // namespace tessera::program::wire
