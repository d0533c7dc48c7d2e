#include "runtime/device/device_session.h"

#include <algorithm>

namespace tessera::runtime {
namespace {

using namespace kernels::cuda;
using Use = SessionMemory::Use;

template <typename T>
std::span<const std::byte> bytes_of(const T& value) {
  return std::as_bytes(std::span(&value, 1));
}

Status launch_all(const DeviceStep& step, Gpu& gpu) {
  for (const auto& launch : step.launches) TRY(launch(gpu));
  return {};
}

}  // namespace

Result<std::unique_ptr<DeviceSession>> DeviceSession::create(std::shared_ptr<const DeviceModel> model) {
  std::unique_ptr<DeviceSession> session(new DeviceSession(std::move(model)));
  SessionMemory& memory = session->memory_;
  memory.get(Use::kToken, 0, sizeof(int32_t));
  // The sizes of the longest step of each kind: on the tensor cores, and in one pass over the weights.
  for (const int64_t n : {session->chunk(), std::min<int64_t>(session->chunk(), kMaxVecTokens), int64_t{1}})
    TRY(lower(*session->model_, memory, n));
  const DeviceInfo& info = session->gpu().info();
  const uint64_t used = static_cast<uint64_t>(session->model_->weight_bytes());
  if (memory.bytes() > info.free_bytes - std::min(info.free_bytes, used))
    return make_error(ErrorCode::kOutOfMemory,
                      "{}: a session of {} tokens needs {:.1f} MB beside the weights' {:.1f}, {:.1f} MB were free",
                      info.name, session->capacity(), static_cast<double>(memory.bytes()) / 1e6,
                      static_cast<double>(used) / 1e6, static_cast<double>(info.free_bytes) / 1e6);
  TRY(memory.allocate(session->gpu()));
  session->reset();
  return session;
}

DeviceSession::~DeviceSession() {
  if (graph_) gpu().release(graph_);
}

void DeviceSession::reset() {
  position_ = 0;
  failed_ = false;
}

// The ids, and the position when the device's own cannot be it.
Status DeviceSession::start_chunk(std::span<const int32_t> tokens) {
  const auto position = static_cast<int32_t>(position_);
  if (position_ == 0) TRY(gpu().upload(memory_.get(Use::kPosition, 0, sizeof(position)), bytes_of(position)));
  return gpu().upload(memory_.get(Use::kIds, 0, tokens.size_bytes()), std::as_bytes(tokens));
}

// The first run is not recorded: it loads the kernels.
Result<DeviceRows> DeviceSession::run_decode() {
  if (!decode_) decode_ = TRY(lower(*model_, memory_, 1));
  if (!has_decoded_) {
    has_decoded_ = true;
    TRY(launch_all(*decode_, gpu()));
    return decode_->logits;
  }
  if (!graph_) {
    TRY(gpu().begin_capture());
    const Status status = launch_all(*decode_, gpu());
    auto graph = gpu().end_capture();  // also after a failure: the stream must leave the state
    if (graph) graph_ = *graph;
    TRY(status);
    TRY(std::move(graph));
  }
  TRY(gpu().replay(graph_));
  return decode_->logits;
}

Result<DeviceRows> DeviceSession::run_chunk(std::span<const int32_t> tokens) {
  TRY(start_chunk(tokens));
  if (tokens.size() == 1) return run_decode();
  const DeviceStep step = TRY(lower(*model_, memory_, std::ssize(tokens)));
  TRY(launch_all(step, gpu()));
  return step.logits;
}

template <typename F>
Status DeviceSession::run(std::span<const int32_t> tokens, const F& after_chunk) {
  if (failed_) return invalid_argument("the session failed in an earlier step; reset it first");
  TRY(model_->model().check_tokens(tokens, position_));
  std::lock_guard lock(model_->model().step_mutex());
  failed_ = true;  // until the whole step went through
  while (!tokens.empty()) {
    const auto part = tokens.subspan(0, std::min(tokens.size(), static_cast<size_t>(chunk())));
    const DeviceRows logits = TRY(run_chunk(part));
    position_ += std::ssize(part);
    tokens = tokens.subspan(part.size());
    TRY(after_chunk(logits, tokens.empty()));
  }
  failed_ = false;
  return {};
}

Result<std::span<const float>> DeviceSession::step(std::span<const int32_t> tokens) {
  logits_.clear();
  const auto fetch = [&](const DeviceRows& rows, bool is_last) -> Status {
    const bool all = model_->model().options().all_logits;
    if (!all && !is_last) return {};
    const auto n = static_cast<size_t>((all ? rows.rows : 1) * rows.width), before = logits_.size();
    const auto skipped = static_cast<uint64_t>(rows.rows * rows.width) - n;
    logits_.resize(before + n);
    return gpu().download(std::as_writable_bytes(std::span(logits_).subspan(before)),
                          rows.address + skipped * sizeof(float));
  };
  TRY(run(tokens, fetch));
  return std::span<const float>(logits_);
}

Result<int32_t> DeviceSession::sample(std::span<const int32_t>, const TokenSampling&) {
  return not_implemented("programs that sample inside have no CUDA kernels");
}

Result<int32_t> DeviceSession::step_greedy(std::span<const int32_t> tokens) {
  int32_t token = -1;
  const auto choose = [&](const DeviceRows& rows, bool is_last) -> Status {
    if (!is_last) return {};
    const Address to = memory_.get(Use::kToken, 0, sizeof(token));
    const Address last = rows.address + static_cast<uint64_t>((rows.rows - 1) * rows.width) * sizeof(float);
    TRY(gpu().run(&Api::argmax, ArgmaxArgs{last, to, static_cast<int32_t>(rows.width)}));
    return gpu().download(std::as_writable_bytes(std::span(&token, 1)), to);
  };
  TRY(run(tokens, choose));
  if (token < 0) return make_error(ErrorCode::kInternal, "a logit after position {} is not a number", position_ - 1);
  return token;
}

Result<std::map<std::string, double>> DeviceSession::profile(std::span<const int32_t> tokens) {
  TRY(model_->model().check_tokens(tokens, position_));
  if (std::ssize(tokens) > chunk()) return invalid_argument("a profile is of one step: {} tokens at most", chunk());
  std::lock_guard lock(model_->model().step_mutex());
  TRY(start_chunk(tokens));
  const DeviceStep step = TRY(lower(*model_, memory_, std::ssize(tokens)));
  std::map<std::string, double> seconds;
  for (size_t i = 0; i < step.launches.size(); ++i) {
    TRY(gpu().mark(0));
    TRY(step.launches[i](gpu()));
    TRY(gpu().mark(1));
    seconds[std::string(step.kinds[i])] += TRY(gpu().seconds_between_marks());
  }
  position_ += std::ssize(tokens);
  return seconds;
}

Result<double> read_gb_s(Gpu& gpu) {
  constexpr uint64_t kBytes = uint64_t{1} << 30;
  constexpr int kRepeats = 8;
  const Buffer data = TRY(gpu.allocate(kBytes)), sums = TRY(gpu.allocate(kReadChecksums * sizeof(uint32_t)));
  double best = 0;
  for (int i = 0; i <= kRepeats; ++i) {  // the first warms up
    TRY(gpu.mark(0));
    TRY(gpu.run(&Api::read, ReadArgs{data.address(), sums.address(), kBytes}));
    TRY(gpu.mark(1));
    const double seconds = TRY(gpu.seconds_between_marks());
    if (i > 0) best = std::max(best, static_cast<double>(kBytes) / seconds / 1e9);
  }
  return best;
}

}  // namespace tessera::runtime
