// Result<T>: a value or an Error, for everything that arrives from outside (file bytes, flags, allocation sizes).
// The interface is that of C++23's std::expected; TRY is the one macro that propagates. Our own bugs use CHECK
// (base/check.h). Run-half rooms are built without exceptions.
#pragma once

#include <fmt/core.h>

#include <new>
#include <string>
#include <string_view>
#include <utility>

namespace tessera {

enum class ErrorCode {
  kInvalidArgument,  // the caller asked for something that cannot be
  kInvalidFormat,    // bytes that are not what they claim to be
  kNotFound,         // a file, tensor, key or kernel that is not there
  kNotImplemented,   // well-formed, but Tessera does not do it (the message lists what it does)
  kOutOfRange,       // an index, size or position past a limit
  kOutOfMemory,
  kIo,  // the operating system refused
  kInternal,
};

std::string_view name_of(ErrorCode code);

// What was expected, what was found, and where (file, offset, tensor), in one line.
struct [[nodiscard]] Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string message;

  // The same error seen from one level up: "where: message".
  Error in(std::string_view where) const { return {code, fmt::format("{}: {}", where, message)}; }
};

template <typename... Args>
Error make_error(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) {
  return {code, fmt::format(format, std::forward<Args>(args)...)};
}
template <typename... Args>
Error invalid_argument(fmt::format_string<Args...> format, Args&&... args) {
  return make_error(ErrorCode::kInvalidArgument, format, std::forward<Args>(args)...);
}
template <typename... Args>
Error invalid_format(fmt::format_string<Args...> format, Args&&... args) {
  return make_error(ErrorCode::kInvalidFormat, format, std::forward<Args>(args)...);
}
template <typename... Args>
Error not_implemented(fmt::format_string<Args...> format, Args&&... args) {
  return make_error(ErrorCode::kNotImplemented, format, std::forward<Args>(args)...);
}

[[noreturn]] void result_misuse(const char* what);  // value() of an error, error() of a value

template <typename T>
class [[nodiscard]] Result {
 public:
  using value_type = T;
  Result(T value) : has_value_(true) { new (&value_) T(std::move(value)); }  // NOLINT(google-explicit-constructor)
  Result(Error error) : has_value_(false) { new (&error_) Error(std::move(error)); }  // NOLINT
  Result(Result&& other) noexcept : has_value_(other.has_value_) { take(std::move(other)); }
  Result(const Result& other) : has_value_(other.has_value_) {
    if (has_value_)
      new (&value_) T(other.value_);
    else
      new (&error_) Error(other.error_);
  }
  Result& operator=(Result other) noexcept {
    destroy();
    has_value_ = other.has_value_;
    take(std::move(other));
    return *this;
  }
  ~Result() { destroy(); }

  bool has_value() const { return has_value_; }
  explicit operator bool() const { return has_value_; }
  T& value() & { return require(), value_; }
  const T& value() const& { return require(), value_; }
  T&& value() && { return require(), std::move(value_); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  const Error& error() const& {
    if (has_value_) result_misuse("error() of a Result that holds a value");
    return error_;
  }
  Error&& error() && {
    if (has_value_) result_misuse("error() of a Result that holds a value");
    return std::move(error_);
  }

 private:
  void require() const {
    if (!has_value_) result_misuse(error_.message.c_str());
  }
  void take(Result&& other) {
    if (has_value_)
      new (&value_) T(std::move(other.value_));
    else
      new (&error_) Error(std::move(other.error_));
  }
  void destroy() {
    if (has_value_)
      value_.~T();
    else
      error_.~Error();
  }
  bool has_value_;
  union {
    T value_;
    Error error_;
  };
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : has_value_(false), error_(std::move(error)) {}  // NOLINT(google-explicit-constructor)
  bool has_value() const { return has_value_; }
  explicit operator bool() const { return has_value_; }
  void value() const {
    if (!has_value_) result_misuse(error_.message.c_str());
  }
  const Error& error() const {
    if (has_value_) result_misuse("error() of a Result that holds a value");
    return error_;
  }

 private:
  bool has_value_ = true;
  Error error_;
};
using Status = Result<void>;

namespace detail {
template <typename T>
T&& unwrap(Result<T>& result) {
  return std::move(result).value();
}
inline void unwrap(Result<void>&) {}
}  // namespace detail

}  // namespace tessera

// The value of `expr`, or return its error from the enclosing function: `auto file = TRY(MappedFile::open(path));`
#define TRY(...)                                                         \
  ({                                                                     \
    auto try_result_ = (__VA_ARGS__);                                    \
    if (!try_result_.has_value()) return std::move(try_result_).error(); \
    ::tessera::detail::unwrap(try_result_);                              \
  })
