#include "runtime/device/device_session.h"

#include <algorithm>
#include <limits>
#include <set>

namespace tessera::runtime {
namespace {

using namespace kernels::cuda;
using Use = SessionMemory::Use;

// What `launch` enqueues, as a graph that is the caller's.
template <typename F>
Result<Graph*> record(Gpu& gpu, const F& launch) {
  TRY(gpu.begin_capture());
  const Status status = launch();
  auto graph = gpu.end_capture();  // also after a failure: the stream must leave the state
  if (status) return graph;
  if (graph) gpu.release(*graph);
  return status.error();
}

}  // namespace

// The longest step of each kind: on the tensor cores, in one pass over the weights, and of few tokens, whose codes are
// padded.
Status note_session(const DeviceModel& model, SessionMemory& memory) {
  DeviceSampler::note_sizes(model.model(), memory);
  const int64_t chunk = model.model().max_tokens_per_step();
  for (const int64_t most : {chunk, int64_t{kMaxVecTokens}, int64_t{kFewTokens}, int64_t{1}})
    TRY(lower(model, memory, std::min(chunk, most)));
  return {};
}

Result<std::unique_ptr<DeviceSession>> DeviceSession::create(std::shared_ptr<const DeviceModel> model) {
  std::unique_ptr<DeviceSession> session(new DeviceSession(std::move(model)));
  std::lock_guard lock(session->model().step_mutex());  // given back before a session that fails is destroyed
  TRY(note_session(*session->model_, session->memory_));
  TRY(session->memory_.allocate(session->gpu()));
  session->sampler_.emplace(session->gpu(), session->memory_, session->model());
  TRY(session->sampler_->init());
  for (const Use use : {Use::kArrivals, Use::kParts, Use::kMatmulParts, Use::kOutputs}) {
    const uint64_t size = session->memory_.size(use, 0);
    const std::vector<std::byte> zeros(use == Use::kMatmulParts ? std::min<uint64_t>(size, kMatmulFlagBytes) : size);
    if (!zeros.empty()) TRY(session->gpu().upload(session->memory_.get(use, 0, zeros.size()), zeros));
  }
  session->reset();
  return session;
}

DeviceSession::~DeviceSession() {
  std::lock_guard lock(model_->model().step_mutex());
  for (const Recorded& decode : decode_)
    if (decode.graph) gpu().release(decode.graph);
  memory_ = SessionMemory();  // as long as the lock is held
}

void DeviceSession::reset() {
  position_ = 0;
  failed_ = false;
  sampler_->forget();
}

Status DeviceSession::upload_position() {
  const auto position = static_cast<int32_t>(position_);
  return gpu().upload(memory_.get(Use::kPosition, 0, sizeof(position)), bytes_of(position));
}

// The ids unless the device has them from the step before, and the position when the device's own cannot be it.
Status DeviceSession::start_chunk(std::span<const int32_t> tokens) {
  if (position_ == 0) TRY(upload_position());
  const bool is_there = tokens.size() == 1 && next_input_ == tokens[0];
  next_input_.reset();
  if (is_there) return {};
  return gpu().upload(memory_.get(Use::kIds, 0, tokens.size_bytes()), std::as_bytes(tokens));
}

Result<const DeviceStep*> DeviceSession::lowered(int64_t n_tokens) {
  const auto known = steps_.find(n_tokens);
  if (known != steps_.end()) return &known->second;
  std::erase_if(steps_, [&](const auto& step) { return step.first != 1 && step.first != chunk(); });
  return &steps_.emplace(n_tokens, TRY(lower(*model_, memory_, n_tokens))).first->second;
}

// The token goes where the next step reads it.
Status DeviceSession::launch_all(const DeviceStep& step, End end) {
  for (const auto& launch : step.launches) TRY(launch(gpu()));
  if (end == End::kLogits) return {};
  return sampler_->choose(step.logits, memory_.get(Use::kIds, 0, sizeof(int32_t)), end == End::kGreedy);
}

Status DeviceSession::run_decode(const DeviceStep& step, End end) {
  Recorded& decode = decode_[static_cast<size_t>(end)];
  if (!decode.has_run) {
    TRY(launch_all(step, end));
    decode.has_run = true;
    return {};
  }
  if (!decode.graph) decode.graph = TRY(record(gpu(), [&] { return launch_all(step, end); }));
  return gpu().replay(decode.graph);
}

Result<DeviceRows> DeviceSession::run_chunk(std::span<const int32_t> tokens, End end) {
  TRY(start_chunk(tokens));
  const DeviceStep& step = *TRY(lowered(std::ssize(tokens)));
  TRY(tokens.size() == 1 ? run_decode(step, end) : launch_all(step, end));
  return step.logits;
}

template <typename F>
Status DeviceSession::run(std::span<const int32_t> tokens, End end, const F& after_chunk) {
  failed_ = true;  // until the whole step went through
  while (!tokens.empty()) {
    const auto part = tokens.subspan(0, std::min(tokens.size(), static_cast<size_t>(chunk())));
    tokens = tokens.subspan(part.size());
    const DeviceRows logits = TRY(run_chunk(part, tokens.empty() ? end : End::kLogits));
    position_ += std::ssize(part);
    TRY(after_chunk(logits, tokens.empty()));
  }
  failed_ = false;
  return {};
}

Status DeviceSession::check(std::span<const int32_t> tokens) const {
  if (failed_) return invalid_argument("the session failed in an earlier step; reset it first");
  return model_->model().check_tokens(tokens, position_);
}

Result<std::span<const float>> DeviceSession::step(std::span<const int32_t> tokens) {
  TRY(check(tokens));
  std::lock_guard lock(model_->model().step_mutex());
  const bool all = model_->model().options().all_logits;
  logits_.resize((all ? tokens.size() : 1) * static_cast<size_t>(model_->model().vocab_size()));
  size_t n_fetched = 0;
  const auto fetch = [&](const DeviceRows& rows, bool is_last) -> Status {
    if (!all && !is_last) return {};
    const auto part = std::span(logits_).subspan(n_fetched, static_cast<size_t>((all ? rows.rows : 1) * rows.width));
    n_fetched += part.size();
    return gpu().download(std::as_writable_bytes(part), all ? rows.address : rows.last_row());
  };
  TRY(run(tokens, End::kLogits, fetch));
  return std::span<const float>(logits_);
}

Result<int32_t> DeviceSession::sample(std::span<const int32_t>, const TokenSampling&) {
  return not_implemented("programs that sample inside have no CUDA kernels");
}

Result<int32_t> DeviceSession::draw(std::span<const int32_t> tokens, const TokenRules& rules) {
  TRY(check(tokens));
  std::lock_guard lock(model_->model().step_mutex());
  TRY(sampler_->follow(rules));
  DeviceRows logits;
  const auto keep = [&](const DeviceRows& rows, bool) -> Status {
    logits = rows;
    return {};
  };
  TRY(run(tokens, rules.temperature == 0 ? End::kGreedy : End::kDraw, keep));
  const int32_t token = TRY(sampler_->fetch(logits, memory_.get(Use::kIds, 0, sizeof(int32_t))));
  next_input_ = token;
  return token;
}

Result<std::vector<int32_t>> DeviceSession::continue_greedy(int32_t token, int64_t n_steps) {
  TRY(check(std::span(&token, 1)));
  if (n_steps < 1 || n_steps > capacity() - position_)
    return make_error(ErrorCode::kOutOfRange, "{} steps at position {} of {}", n_steps, position_, capacity());
  std::lock_guard lock(model_->model().step_mutex());
  TRY(sampler_->follow({}));
  failed_ = true;
  TRY(start_chunk(std::span(&token, 1)));
  const DeviceStep& step = *TRY(lowered(1));
  for (int64_t i = 0; i < n_steps; ++i) TRY(run_decode(step, End::kGreedy));
  position_ += n_steps;
  failed_ = false;
  auto tokens = TRY(sampler_->fetch_last(n_steps, step.logits, memory_.get(Use::kIds, 0, sizeof(token))));
  next_input_ = tokens.back();
  return tokens;
}

Result<std::map<std::string, double>> DeviceSession::profile(std::span<const int32_t> tokens) {
  TRY(check(tokens));
  if (std::ssize(tokens) > chunk()) return invalid_argument("a profile is of one step: {} tokens at most", chunk());
  std::lock_guard lock(model_->model().step_mutex());
  failed_ = true;
  TRY(start_chunk(tokens));
  const DeviceStep& step = *TRY(lowered(std::ssize(tokens)));
  TRY(launch_all(step, End::kLogits));  // loads the kernels
  TRY(upload_position());               // back to where the step begins
  std::map<std::string, double> seconds;
  const double whole = seconds["step"] = TRY(time_without(step, {}));
  for (const std::string_view kind : std::set<std::string_view>(step.kinds.begin(), step.kinds.end()))
    if (kind != kPositionKind) seconds[std::string(kind)] = whole - TRY(time_without(step, kind));
  TRY(launch_all(step, End::kLogits));  // for good: over what the incomplete ones left in the caches
  position_ += std::ssize(tokens);
  failed_ = false;
  return seconds;
}

// Recorded and replayed, the fastest of a few; the position stays where it is.
Result<double> DeviceSession::time_without(const DeviceStep& step, std::string_view kind) {
  constexpr int kReplays = 4;
  const auto launch = [&]() -> Status {
    for (size_t i = 0; i < step.launches.size(); ++i)
      if (step.kinds[i] != kind && step.kinds[i] != kPositionKind) TRY(step.launches[i](gpu()));
    return {};
  };
  Graph* graph = TRY(record(gpu(), launch));
  double best = std::numeric_limits<double>::infinity();
  const auto replay = [&]() -> Status {
    for (int i = 0; i < kReplays; ++i) {
      TRY(gpu().mark(0));
      TRY(gpu().replay(graph));
      TRY(gpu().mark(1));
      best = std::min(best, TRY(gpu().seconds_between_marks()));
    }
    return {};
  };
  const Status replayed = replay();
  gpu().release(graph);
  TRY(replayed);
  return best;
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
