// A file mapped read-only: the storage of borrowed weights, shared through shared_ptr by whoever borrows.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"

namespace tessera {

class MappedFile {
 public:
  // Errors: kNotFound, kIo (a directory, no permission). An empty file maps to an empty span.
  static Result<std::shared_ptr<const MappedFile>> open(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::string& path() const { return path_; }
  int descriptor() const { return fd_; }  // of the file that is mapped, whatever its path names now
  size_t offset_of(std::span<const std::byte> part) const { return static_cast<size_t>(part.data() - data_); }
  // Tells the kernel that [offset, offset + size) was read for the last time, so that streaming a large file through
  // does not count as our memory.
  void forget(size_t offset, size_t size) const;

 private:
  MappedFile(std::string path, int fd, const std::byte* data, size_t size)
      : path_(std::move(path)), fd_(fd), data_(data), size_(size) {}
  std::string path_;
  int fd_;
  const std::byte* data_;
  size_t size_;
};

}  // namespace tessera
