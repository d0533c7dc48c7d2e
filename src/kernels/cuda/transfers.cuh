// Bytes between the host and a device. Pageable memory goes through pinned buffers, which the card reads at the speed
// of the bus; one thread copies into them at a fifth of it, so large uploads are filled by several.
#pragma once

#include <cuda_runtime.h>

#include <memory>
#include <span>
#include <vector>

#include "kernels/cuda/api.h"
#include "kernels/cuda/upload_plan.h"

namespace tessera::kernels::cuda {

class Transfers {
 public:
  // Null, with a message, when there is no pinned memory. The device must be the thread's current one, here and in
  // every call; `stream` must outlive it.
  static std::unique_ptr<Transfers> create(int ordinal, cudaStream_t stream, Failure* failure);
  ~Transfers();

  // Enqueues the parts on the stream, in about their order; returns when their memory may be reused.
  int upload(std::span<const UploadPart> parts, Failure* failure);
  // Waits for what is on the stream, and for the bytes.
  int download(void* to, Address from, uint64_t bytes, Failure* failure);

 private:
  struct Stage {  // a piece of pinned memory
    char* bytes = nullptr;
    cudaEvent_t is_free = nullptr;
  };
  Transfers(int ordinal, cudaStream_t stream) : ordinal_(ordinal), stream_(stream) {}
  int prepare(Failure* failure);
  int upload_small(const UploadPart& part, Failure* failure);
  int send(const UploadPlan& plan, const UploadPiece& piece, Stage& stage, Failure* failure);
  void work(int thread, struct SharedUpload& upload);

  int ordinal_;
  cudaStream_t stream_;
  char* pinned_ = nullptr;
  std::vector<Stage> stages_;  // two of each thread
  std::vector<Stage> small_;   // taken in turn
  size_t turn_ = 0;
};

}  // namespace tessera::kernels::cuda
