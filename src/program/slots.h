// The small types program nodes are made of: slot references, operands that are a literal or a slot, interned strings.
// Wire shapes: executorch-pte "Base types" (structs Tid and Vid are 4 bytes inline; the operands are tables).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace tessera::program {

// A tensor slot that an instruction reads. Constants, inputs, outputs, mutable buffers and temporaries share one id
// space in this order (Program::kind_of).
struct Tid {
  uint32_t idx = 0;
  bool operator==(const Tid&) const = default;
};
// A tensor slot that an instruction writes.
struct Out : Tid {
  bool operator==(const Out&) const = default;
};
// A value slot (int32, float or bool), read or written.
struct Vid {
  uint32_t idx = 0;
  bool operator==(const Vid&) const = default;
};
struct VidOut : Vid {
  bool operator==(const VidOut&) const = default;
};

// An integer operand: a literal (clamped to int32 when executed) or a value slot.
struct IntOrVid {
  int64_t literal = 0;
  Vid vid;
  bool is_vid = false;
  IntOrVid() = default;
  IntOrVid(int64_t value) : literal(value) {}      // NOLINT(google-explicit-constructor)
  IntOrVid(Vid slot) : vid(slot), is_vid(true) {}  // NOLINT(google-explicit-constructor)
  bool operator==(const IntOrVid&) const = default;
};

struct FloatOrVid {
  double literal = 0;
  Vid vid;
  bool is_vid = false;
  FloatOrVid() = default;
  FloatOrVid(double value) : literal(value) {}       // NOLINT(google-explicit-constructor)
  FloatOrVid(Vid slot) : vid(slot), is_vid(true) {}  // NOLINT(google-explicit-constructor)
  bool operator==(const FloatOrVid&) const = default;
};

struct VidOrTid {
  Vid vid;
  Tid tid;
  bool is_vid = false;
  VidOrTid() = default;
  VidOrTid(Vid slot) : vid(slot), is_vid(true) {}  // NOLINT(google-explicit-constructor)
  VidOrTid(Tid slot) : tid(slot) {}                // NOLINT(google-explicit-constructor)
  bool operator==(const VidOrTid&) const = default;
};

struct IntOrVidOrTid {
  enum class Kind : uint8_t { kLiteral = 0, kVid = 1, kTid = 2 };
  int64_t literal = 0;
  Vid vid;
  Tid tid;
  Kind kind = Kind::kLiteral;
  IntOrVidOrTid() = default;
  IntOrVidOrTid(int64_t value) : literal(value) {}          // NOLINT(google-explicit-constructor)
  IntOrVidOrTid(Vid slot) : vid(slot), kind(Kind::kVid) {}  // NOLINT(google-explicit-constructor)
  IntOrVidOrTid(Tid slot) : tid(slot), kind(Kind::kTid) {}  // NOLINT(google-explicit-constructor)
  bool operator==(const IntOrVidOrTid&) const = default;
};

// An immutable string that equal fields share: the emitter hands out one String per text, the loader one per flatbuffer
// offset. Copies are cheap; equality is by content, identity() tells whether two fields share storage.
class String {
 public:
  String() : text_(empty()) {}
  explicit String(std::string text) : text_(std::make_shared<const std::string>(std::move(text))) {}
  std::string_view view() const { return *text_; }
  const std::string& str() const { return *text_; }
  const void* identity() const { return text_.get(); }
  bool operator==(const String& other) const { return *text_ == *other.text_; }
  bool operator==(std::string_view other) const { return *text_ == other; }

 private:
  static const std::shared_ptr<const std::string>& empty() {
    static const auto kEmpty = std::make_shared<const std::string>();
    return kEmpty;
  }
  std::shared_ptr<const std::string> text_;
};

// A vector that the wire schema declares required: written even when empty, an error when missing.
template <typename T>
struct RequiredVector : std::vector<T> {
  using std::vector<T>::vector;
  bool operator==(const RequiredVector&) const = default;
};

}  // namespace tessera::program
