#include "kernels/cuda/transfers.cuh"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>

#include "kernels/cuda/device.cuh"

namespace tessera::kernels::cuda {

// What the threads of one upload share.
struct SharedUpload {
  const UploadPlan& plan;
  std::atomic<size_t> next{0};
  std::atomic<bool> has_failed{false};
  std::mutex mutex;
  Failure failure{};  // the first
};

namespace {

// Two pieces of each of 12 threads are 48 MB, which take about 20 ms to pin. At 50 GB/s a piece is 40 us on the bus,
// several times what enqueueing it costs.
constexpr uint64_t kPieceBytes = uint64_t{2} << 20, kSmallBytes = uint64_t{64} << 10;
constexpr int kMaxThreads = 12, kStagesPerThread = 2, kSmallStages = 8;

int n_threads() { return std::clamp(static_cast<int>(std::thread::hardware_concurrency()), 1, kMaxThreads); }

// The pages of a mapped file in one call instead of a fault each. A hint: what fails here, the copy does itself.
void populate(const char* from, uint64_t bytes) {
#ifdef MADV_POPULATE_READ
  static const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t begin = reinterpret_cast<uintptr_t>(from) / page * page;
  const uintptr_t end = reinterpret_cast<uintptr_t>(from) + bytes;
  madvise(reinterpret_cast<void*>(begin), end - begin, MADV_POPULATE_READ);
#endif
}

}  // namespace

std::unique_ptr<Transfers> Transfers::create(int ordinal, cudaStream_t stream, Failure* failure) {
  std::unique_ptr<Transfers> out(new (std::nothrow) Transfers(ordinal, stream));
  if (!out || out->prepare(failure)) return nullptr;
  return out;
}

int Transfers::prepare(Failure* failure) {
  stages_.resize(static_cast<size_t>(n_threads()) * kStagesPerThread);
  small_.resize(kSmallStages);
  void* pinned = nullptr;
  const size_t bytes = stages_.size() * kPieceBytes + small_.size() * kSmallBytes;
  if (check(cudaHostAlloc(&pinned, bytes, cudaHostAllocDefault), "pinned memory", failure)) return 1;
  pinned_ = static_cast<char*>(pinned);
  char* next = pinned_;
  const auto give = [&](Stage& stage, uint64_t size) {
    stage.bytes = next;
    next += size;
    return check(cudaEventCreateWithFlags(&stage.is_free, cudaEventDisableTiming), "event", failure);
  };
  for (Stage& stage : stages_)
    if (give(stage, kPieceBytes)) return 1;
  for (Stage& stage : small_)
    if (give(stage, kSmallBytes)) return 1;
  return 0;
}

Transfers::~Transfers() {
  for (const std::vector<Stage>* stages : {&stages_, &small_})
    for (const Stage& stage : *stages)
      if (stage.is_free) cudaEventDestroy(stage.is_free);
  if (pinned_) cudaFreeHost(pinned_);
}

int Transfers::send(const UploadPlan& plan, const UploadPiece& piece, Stage& stage, Failure* failure) {
  if (check(cudaEventSynchronize(stage.is_free), "upload", failure)) return 1;
  for (size_t i = piece.first; i < piece.first + piece.n_fragments; ++i) {
    const UploadFragment& fragment = plan.fragments[i];
    populate(fragment.from, fragment.bytes);
    std::memcpy(stage.bytes + fragment.at, fragment.from, fragment.bytes);
  }
  return check(cudaMemcpyAsync(reinterpret_cast<void*>(piece.to), stage.bytes, piece.bytes, cudaMemcpyHostToDevice,
                               stream_),
               "upload", failure) ||
         check(cudaEventRecord(stage.is_free, stream_), "upload", failure);
}

// Pieces are taken in order by whichever thread is free; what it enqueues may overtake its neighbours.
void Transfers::work(int thread, SharedUpload& upload) {
  Failure failure{};
  bool ok = check(cudaSetDevice(ordinal_), "upload", &failure) == 0;
  for (size_t n_sent = 0; ok && !upload.has_failed; ++n_sent) {
    const size_t i = upload.next++;
    if (i >= upload.plan.pieces.size()) return;
    Stage& stage = stages_[static_cast<size_t>(thread) * kStagesPerThread + n_sent % kStagesPerThread];
    ok = send(upload.plan, upload.plan.pieces[i], stage, &failure) == 0;
  }
  if (ok) return;
  const std::lock_guard lock(upload.mutex);
  if (!upload.has_failed.exchange(true)) upload.failure = failure;
}

int Transfers::upload_small(const UploadPart& part, Failure* failure) {
  Stage& stage = small_[turn_++ % small_.size()];
  if (check(cudaEventSynchronize(stage.is_free), "upload", failure)) return 1;
  std::memcpy(stage.bytes, part.from, part.bytes);
  return check(cudaMemcpyAsync(reinterpret_cast<void*>(part.to), stage.bytes, part.bytes, cudaMemcpyHostToDevice,
                               stream_),
               "upload", failure) ||
         check(cudaEventRecord(stage.is_free, stream_), "upload", failure);
}

int Transfers::upload(std::span<const UploadPart> parts, Failure* failure) {
  if (parts.size() == 1 && parts[0].bytes == 0) return 0;
  if (parts.size() == 1 && parts[0].bytes <= kSmallBytes) return upload_small(parts[0], failure);
  const UploadPlan plan = plan_upload(parts, kPieceBytes);
  SharedUpload shared{plan};
  const int n = static_cast<int>(
      std::min<size_t>(stages_.size() / kStagesPerThread, std::max<size_t>(plan.pieces.size() / 4, 1)));
  std::vector<std::thread> helpers;
  try {
    for (int i = 1; i < n; ++i) helpers.emplace_back([this, i, &shared] { work(i, shared); });
  } catch (const std::system_error&) {
    // No more threads for us: those there are do the work.
  }
  work(0, shared);
  for (std::thread& helper : helpers) helper.join();
  if (!shared.has_failed) return 0;
  *failure = shared.failure;
  return 1;
}

// While one piece is copied out of its buffer the next one arrives.
int Transfers::download(void* to, Address from, uint64_t bytes, Failure* failure) {
  auto* target = static_cast<char*>(to);
  const uint64_t n_pieces = (bytes + kPieceBytes - 1) / kPieceBytes;
  const auto size_of = [&](uint64_t i) { return std::min(kPieceBytes, bytes - i * kPieceBytes); };
  for (uint64_t i = 0; i <= n_pieces; ++i) {
    if (i < n_pieces) {
      Stage& stage = stages_[i % kStagesPerThread];
      if (check(cudaEventSynchronize(stage.is_free), "download", failure) ||
          check(cudaMemcpyAsync(stage.bytes, reinterpret_cast<const void*>(from + i * kPieceBytes), size_of(i),
                                cudaMemcpyDeviceToHost, stream_),
                "download", failure) ||
          check(cudaEventRecord(stage.is_free, stream_), "download", failure))
        return 1;
    }
    if (i == 0) continue;
    Stage& arrived = stages_[(i - 1) % kStagesPerThread];
    if (check(cudaEventSynchronize(arrived.is_free), "download", failure)) return 1;
    std::memcpy(target + (i - 1) * kPieceBytes, arrived.bytes, size_of(i - 1));
  }
  return 0;
}

}  // namespace tessera::kernels::cuda
