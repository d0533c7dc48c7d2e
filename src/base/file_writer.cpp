#include "base/file_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/huge_pages.h"
#include "base/mapped_file.h"

namespace tessera {
namespace {

// Every write but the last ends where a huge page of the file does, and all but the first begin there: the system then
// keeps the file in such pages, and whoever maps it reads faster.
constexpr size_t kPieceBytes = kHugePageBytes;

Status write_all(int fd, std::span<const std::byte> bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), std::min(bytes.size(), size_t{1} << 30));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return make_error(ErrorCode::kIo, "{}: cannot write: {}", path, std::strerror(errno));
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
  return {};
}

}  // namespace

Result<FileWriter> FileWriter::create(const std::string& path) {
  std::string temporary = fmt::format("{}.tmp.{}", path, ::getpid());
  const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return make_error(ErrorCode::kIo, "{}: cannot create: {}", path, std::strerror(errno));
  return FileWriter(path, std::move(temporary), fd);
}

FileWriter::FileWriter(std::string path, std::string temporary, int fd)
    : path_(std::move(path)), temporary_(std::move(temporary)), fd_(fd) {
  buffer_.resize(kPieceBytes);
}

FileWriter::FileWriter(FileWriter&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_(std::move(other.temporary_)),
      fd_(std::exchange(other.fd_, -1)),
      offset_(other.offset_),
      buffered_(other.buffered_),
      buffer_(std::move(other.buffer_)) {}

FileWriter::~FileWriter() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(temporary_.c_str());
}

Status FileWriter::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    size_t n = std::min(bytes.size(), left_of_piece());
    if (n == kPieceBytes) {
      n = bytes.size() / kPieceBytes * kPieceBytes;
      TRY(write_all(fd_, bytes.first(n), path_));
      offset_ += n;
    } else {
      std::memcpy(buffer_.data() + buffered_, bytes.data(), n);
      TRY(buffered(n));
    }
    bytes = bytes.subspan(n);
  }
  return {};
}

Status FileWriter::copy(const MappedFile& file, size_t offset, size_t size) {
  while (size > 0) {
    const ssize_t n = ::pread(file.descriptor(), buffer_.data() + buffered_, std::min(size, left_of_piece()),
                              static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0)
      return make_error(ErrorCode::kIo, "{}: cannot read {} bytes at {}: {}", file.path(), size, offset,
                        n < 0 ? std::strerror(errno) : "the file became shorter");
    offset += static_cast<size_t>(n);
    size -= static_cast<size_t>(n);
    TRY(buffered(static_cast<size_t>(n)));
  }
  return {};
}

size_t FileWriter::left_of_piece() const { return kPieceBytes - offset_ % kPieceBytes; }

Status FileWriter::buffered(size_t n) {
  buffered_ += n;
  offset_ += n;
  return offset_ % kPieceBytes == 0 ? flush() : Status();
}

Status FileWriter::pad_to(uint64_t alignment) {
  static constexpr std::byte kZeros[256] = {};
  for (uint64_t rest = (alignment - offset_ % alignment) % alignment; rest > 0;) {
    const size_t n = static_cast<size_t>(std::min<uint64_t>(rest, sizeof(kZeros)));
    TRY(write({kZeros, n}));
    rest -= n;
  }
  return {};
}

Status FileWriter::flush() {
  TRY(write_all(fd_, std::span(buffer_).first(buffered_), path_));
  buffered_ = 0;
  return {};
}

Status FileWriter::commit() {
  TRY(flush());
  const int fd = std::exchange(fd_, -1);
  if (::close(fd) != 0 || std::rename(temporary_.c_str(), path_.c_str()) != 0) {
    const int error = errno;
    ::unlink(temporary_.c_str());
    return make_error(ErrorCode::kIo, "{}: cannot finish: {}", path_, std::strerror(error));
  }
  return {};
}

}  // namespace tessera
