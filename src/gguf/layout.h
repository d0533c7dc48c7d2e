// The bytes of a GGUF file, little-endian, v2 and v3 alike. Reader and writer share these lines.
//
//   "GGUF"  u32 version  u64 n_tensors  u64 n_entries
//   n_entries x  { string key,  u32 value type,  value }
//   n_tensors x  { string name, u32 n_dims, n_dims x i64 dim, u32 ggml type, u64 offset from the data section }
//   zeros up to a multiple of the alignment, counted from the start of the file
//   the data section: every tensor at a multiple of the alignment
//
//   string = u64 length, bytes, no terminator
//   scalar = its bytes; bool is one byte; nothing is aligned before the data section
//   array  = u32 element type, u64 count, elements
//
// Source: ggml, include/gguf.h and src/gguf.cpp. The limits are ggml's too, except nesting, which ggml refuses.
#pragma once

#include <cstdint>
#include <string_view>

namespace tessera::gguf {

inline constexpr uint32_t kMagic = 0x46554747;  // "GGUF"
inline constexpr uint32_t kOldestVersion = 2;   // v1 had 32-bit counts and lengths
inline constexpr uint32_t kVersion = 3;
inline constexpr uint64_t kDefaultAlignment = 32;

inline constexpr uint64_t kMaxKeyBytes = 65535;
inline constexpr uint64_t kMaxStringBytes = uint64_t{1} << 30;
inline constexpr uint64_t kMaxArrayItems = uint64_t{1} << 30;
inline constexpr int kMaxArrayDepth = 4;  // an array of scalars has depth 1
inline constexpr uint64_t kMaxNameBytes = 63;
inline constexpr uint32_t kMaxDims = 4;

// The least an entry and a tensor info can take: counts are held against the file's size before memory is reserved.
inline constexpr uint64_t kMinEntryBytes = 8 + 1 + 4;
inline constexpr uint64_t kMinTensorInfoBytes = 8 + 4 + 4 + 8;

inline constexpr std::string_view kAlignmentKey = "general.alignment";
inline constexpr std::string_view kSplitNumberKey = "split.no";  // counts from 0
inline constexpr std::string_view kSplitCountKey = "split.count";
inline constexpr std::string_view kSplitTensorsKey = "split.tensors.count";  // of all parts together

}  // namespace tessera::gguf
