// The half of `tessera inspect` that knows programs.
#pragma once

#include "program/inspect.h"

namespace tessera::cli {

// What to list beyond the overview.
struct PteDetails {
  bool tensors = false;       // every slot, segment and named data entry
  bool chains = false;        // every chain, and the targets of every If
  bool instructions = false;  // the program as text
};

void print_pte(const program::PteInfo& info, const PteDetails& details);
void print_pte_json(const program::PteInfo& info);  // everything but the instructions

}  // namespace tessera::cli
