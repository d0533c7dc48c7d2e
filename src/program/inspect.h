// What is inside a .pte, for people: the container's layout, the kernels a program carries, and what sharing
// saves. `tessera inspect` prints it; the instructions themselves come from program/printer.h.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "program/container.h"
#include "program/kernel_info.h"
#include "program/pte_loader.h"

namespace tessera::program {

struct SegmentInfo {
  uint64_t offset = 0, bytes = 0;  // offset in the file
  std::string content;             // "constants", "delegate of forward", or the keys it holds
};

struct PlanInfo {
  std::string name;
  std::vector<std::string> delegates;
  size_t n_values = 0, n_inputs = 0, n_outputs = 0, n_instructions = 0;
};

struct SlotInfo {
  uint32_t id = 0;
  std::string kind, type, name;  // "constant", "bf16[256, 512]", "blk.0.attn_norm.weight"
};

// A chain and what runs it: "main", "init", "then of 0.33" (instruction 33 of chain 0), ...; "nothing" for one that
// nothing names.
struct ChainInfo {
  std::string role;
  size_t n_instructions = 0;
};

struct BranchInfo {
  uint32_t chain = 0;
  size_t instruction = 0;
  std::string condition;  // "$4"
  uint32_t then_chain = 0, else_chain = 0;
};

struct DataInfo {
  std::string key;
  uint64_t bytes = 0;
  bool external = false;  // borrowed from another file than the program's
};

struct PteInfo {
  std::string path;
  uint64_t file_bytes = 0;
  ContainerHeader header;
  std::vector<SegmentInfo> segments;
  std::vector<PlanInfo> plans;
  std::vector<DataInfo> data;
  std::vector<SlotInfo> slots;  // those with metadata: all but temporaries
  std::vector<ChainInfo> chains;
  std::vector<BranchInfo> branches;
  std::map<std::string, size_t> instructions;  // how often each occurs, over all chains
  std::vector<KernelInfo> kernels;
  uint64_t payload_bytes = 0;         // of the delegate, as stored
  uint64_t payload_bytes_shared = 0;  // re-encoded with equal strings, vectors and tables stored once
  // Re-encoded with everything stored where it is used; where that would be hundreds of megabytes, about so much.
  uint64_t payload_bytes_unshared = 0;
  Program program;  // slots, chains, constant methods
};

Result<PteInfo> inspect_pte(const std::string& path, const LoadOptions& options = {});

}  // namespace tessera::program
