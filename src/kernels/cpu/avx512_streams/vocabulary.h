// The words of avx512/vocabulary.h as Intel's processors are fastest with them.
#pragma once

#include "kernels/cpu/avx512/vocabulary.h"

namespace tessera::kernels::cpu::avx512_streams {

using avx512::F32x16;

struct Vocabulary : avx512::Vocabulary {
  using Neighbours = avx512::Vocabulary;
  // Few threads read rows far apart a fifth faster: their requests are what limits them, many threads' what memory
  // gives.
  using Distant = Vocabulary;
  // Two ports take all arithmetic: what joins two groups' sums takes them as long as what it saves, and more registers.
  static constexpr bool kJoinsSums = false;
  static constexpr bool kReadsMinusSums = false;  // its kernels take the activations of AMX, too
};

}  // namespace tessera::kernels::cpu::avx512_streams
