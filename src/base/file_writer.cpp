#include "base/file_writer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "base/mapped_file.h"

namespace tessera {
namespace {

constexpr size_t kBufferBytes = 1 << 20;

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
  struct stat target;
  if (::stat(path.c_str(), &target) == 0 && !S_ISREG(target.st_mode))  // the rename would take a device's place
    return make_error(ErrorCode::kIo, "{}: cannot create: not a regular file", path);
  std::string temporary = fmt::format("{}.tmp.{}", path, ::getpid());
  const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return make_error(ErrorCode::kIo, "{}: cannot create: {}", path, std::strerror(errno));
  return FileWriter(path, std::move(temporary), fd);
}

FileWriter::FileWriter(std::string path, std::string temporary, int fd)
    : path_(std::move(path)), temporary_(std::move(temporary)), fd_(fd) {
  buffer_.reserve(kBufferBytes);
}

FileWriter::FileWriter(FileWriter&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_(std::move(other.temporary_)),
      fd_(std::exchange(other.fd_, -1)),
      offset_(other.offset_),
      buffer_(std::move(other.buffer_)) {}

FileWriter::~FileWriter() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(temporary_.c_str());
}

Status FileWriter::write(std::span<const std::byte> bytes) {
  offset_ += bytes.size();
  if (buffer_.size() + bytes.size() > kBufferBytes) TRY(flush());
  if (bytes.size() >= kBufferBytes) return write_all(fd_, bytes, path_);
  buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
  return {};
}

Status FileWriter::copy(const MappedFile& file, size_t offset, size_t size) {
  TRY(flush());
  buffer_.resize(kBufferBytes);
  while (size > 0) {
    const ssize_t n =
        ::pread(file.descriptor(), buffer_.data(), std::min(size, kBufferBytes), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0)
      return make_error(ErrorCode::kIo, "{}: cannot read {} bytes at {}: {}", file.path(), size, offset,
                        n < 0 ? std::strerror(errno) : "the file became shorter");
    const auto piece = std::span(buffer_).first(static_cast<size_t>(n));
    TRY(write_all(fd_, piece, path_));
    offset += piece.size();
    size -= piece.size();
    offset_ += piece.size();
  }
  buffer_.clear();
  return {};
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
  TRY(write_all(fd_, buffer_, path_));
  buffer_.clear();
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
