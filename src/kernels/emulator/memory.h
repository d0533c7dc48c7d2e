// Memory as an emulated kernel sees it: regions with bounds, and pointers that carry their region, so that every access
// is checked for bounds and alignment. Regions that kernels write also keep, for every byte, who touched it last: two
// threads at one byte without a barrier between them, and reads of what nobody wrote, are found.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>

namespace tessera::kernels::emulator {

// Ends the dispatch: records the message, adds the thread's position, and never resumes the thread. dispatch.cpp.
[[noreturn]] void fault(std::string message);

// When an access happens: how many barriers the thread's threadgroup and its SIMD group have passed.
struct Epoch {
  uint32_t group = 0, simd = 0;
  bool operator==(const Epoch&) const = default;
};
// Who runs, for the shadows: a number in the whole grid, of its SIMD group too, and when.
struct Accessor {
  uint32_t thread = 0, simd_group = 0;
  Epoch epoch;
};
Accessor current_accessor();

struct ByteShadow {
  uint32_t writer = 0, reader = 0;  // thread + 1; 0: nobody; kMany: several readers, or whoever changes it atomically
  uint32_t writer_simd = 0, reader_simd = 0;
  Epoch written, read;
  static constexpr uint32_t kMany = UINT32_MAX;
};

// What is recorded of accesses. Device memory has no barriers across threadgroups: there a byte belongs to one thread
// for the whole dispatch.
enum class Recording { kNone, kOutput, kThreadgroup };

class Region {
 public:
  Region() = default;
  // Borrows `data`.
  Region(std::string_view name, void* data, size_t bytes, Recording recording = Recording::kNone);

  std::string_view name() const { return name_; }
  size_t bytes() const { return bytes_; }
  int64_t offset_of(uintptr_t address) const {
    return static_cast<int64_t>(address - reinterpret_cast<uintptr_t>(data_));
  }
  bool was_written(size_t byte) const { return shadow_[byte].writer != 0; }  // recording only
  void forget();                                                             // accesses, as for a new threadgroup

  const std::byte* for_read(int64_t offset, size_t size, size_t alignment) const {
    if (outside(offset, size) || misaligned(offset, alignment)) [[unlikely]]
      bad_access("reads", offset, size, alignment);
    if (recording_ != Recording::kNone) note_read(offset, size);
    return data_ + offset;
  }
  std::byte* for_write(int64_t offset, size_t size, size_t alignment) const {
    if (outside(offset, size) || misaligned(offset, alignment)) [[unlikely]]
      bad_access("writes", offset, size, alignment);
    if (recording_ != Recording::kNone) note_write(offset, size);
    return data_ + offset;
  }
  // For an operation that others may do to the same bytes at the same time.
  std::byte* for_atomic(int64_t offset, size_t size, size_t alignment) const {
    if (outside(offset, size) || misaligned(offset, alignment)) [[unlikely]]
      bad_access("changes", offset, size, alignment);
    if (recording_ != Recording::kNone) note_atomic(offset, size);
    return data_ + offset;
  }
  // The state of a barrier of its own, which orders what others do.
  std::byte* for_barrier(int64_t offset, size_t size) const {
    if (outside(offset, size) || misaligned(offset, size)) [[unlikely]]
      bad_access("changes", offset, size, size);
    return data_ + offset;
  }
  // For bytes that such barriers hand from threads to others: who touches them when is not looked at.
  std::byte* for_handing_over(int64_t offset, size_t size, size_t alignment) const {
    if (outside(offset, size) || misaligned(offset, alignment)) [[unlikely]]
      bad_access("writes", offset, size, alignment);
    if (recording_ != Recording::kNone) note_handing_over(offset, size);
    return data_ + offset;
  }

 private:
  bool outside(int64_t offset, size_t size) const {
    return offset < 0 || size > bytes_ || static_cast<uint64_t>(offset) > bytes_ - size;
  }
  bool misaligned(int64_t offset, size_t alignment) const {
    return (reinterpret_cast<uintptr_t>(data_) + static_cast<uintptr_t>(offset)) % alignment != 0;
  }
  [[noreturn]] void bad_access(const char* verb, int64_t offset, size_t size, size_t alignment) const;
  void note_read(int64_t offset, size_t size) const;
  void note_write(int64_t offset, size_t size) const;
  void note_atomic(int64_t offset, size_t size) const;
  void note_handing_over(int64_t offset, size_t size) const;

  struct Free {
    void operator()(ByteShadow* p) const { std::free(p); }
  };
  std::string_view name_;
  std::byte* data_ = nullptr;
  size_t bytes_ = 0;
  Recording recording_ = Recording::kNone;
  std::unique_ptr<ByteShadow[], Free> shadow_;  // from calloc: pages nobody touches cost nothing
};

// Metal's address spaces are part of a pointer's type there, and so here.
enum class Space { kDevice, kConstant, kThreadgroup };

// What *p and p[i] are for a pointer that may write: reads and writes are told apart.
template <typename T>
class Reference {
 public:
  Reference(const Region* region, int64_t offset) : region_(region), offset_(offset) {}
  operator T() const {  // NOLINT(google-explicit-constructor): a reference converts
    T value;
    std::memcpy(&value, region_->for_read(offset_, sizeof(T), alignof(T)), sizeof(T));
    return value;
  }
  const Reference& operator=(const T& value) const {  // NOLINT: writes through, as a reference does
    std::memcpy(region_->for_write(offset_, sizeof(T), alignof(T)), &value, sizeof(T));
    return *this;
  }
  const Reference& operator=(const Reference& other) const { return *this = static_cast<T>(other); }  // NOLINT

 private:
  const Region* region_;
  int64_t offset_;
};

// `device const T*` is Pointer<Space::kDevice, const T>. Conversions are those of Metal: const may be added silently,
// a cast may change the type, nothing changes the address space.
template <Space S, typename T>
class Pointer {
 public:
  using Value = std::remove_const_t<T>;
  Pointer() = default;  // null: region() is
  Pointer(const Region* region, int64_t offset) : region_(region), offset_(offset) {}
  template <typename U>
  requires(std::is_convertible_v<U*, T*>) Pointer(const Pointer<S, U>& other)
      : Pointer(other.region(), other.offset()) {}  // NOLINT
  template <typename U>
  requires(!std::is_convertible_v<U*, T*> &&
           (std::is_const_v<T> || !std::is_const_v<U>)) explicit Pointer(const Pointer<S, U>& other)
      : Pointer(other.region(), other.offset()) {}

  decltype(auto) operator*() const { return (*this)[0]; }
  auto operator[](int64_t i) const {
    const int64_t at = offset_ + i * static_cast<int64_t>(sizeof(T));
    if constexpr (std::is_const_v<T>) {
      Value value;
      std::memcpy(&value, region_->for_read(at, sizeof(T), alignof(T)), sizeof(T));
      return value;
    } else {
      return Reference<T>(region_, at);
    }
  }
  Pointer operator+(int64_t n) const { return {region_, offset_ + n * static_cast<int64_t>(sizeof(T))}; }
  Pointer operator-(int64_t n) const { return *this + -n; }
  Pointer& operator+=(int64_t n) { return *this = *this + n; }

  const Region* region() const { return region_; }
  int64_t offset() const { return offset_; }

 private:
  const Region* region_ = nullptr;
  int64_t offset_ = 0;  // bytes; may leave the region as long as nothing is accessed there
};

}  // namespace tessera::kernels::emulator
