#include "runtime/dataflow.h"

#include <algorithm>

#include "program/def_use.h"

namespace tessera::runtime {
namespace {

using program::Chain;
using program::Node;
using program::Program;

template <typename T>
void add_unique(std::vector<T>& list, T item) {
  if (std::find(list.begin(), list.end(), item) == list.end()) list.push_back(item);
}

bool contains(const std::vector<uint32_t>& list, uint32_t item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

// Collects what a run of nodes touches, the chains of an If or Scan included. A slot that was written before it is read
// within the run is not a read of the run.
class Collector {
 public:
  explicit Collector(const Program& program) : program_(program) {}

  void add(const Chain& chain) {
    for (const Node& node : chain) add(node);
  }

  void add(const Node& node) {
    program::for_each_use(node, [&](program::Tid tid) { read(tid.idx); });
    program::for_each_value_use(node, [&](program::Vid vid) { read_value(vid.idx); });
    if (const auto* branch = std::get_if<program::If>(&node)) {
      add_branches(program_.chains[branch->then_chain_idx], program_.chains[branch->else_chain_idx]);
    } else if (const auto* scan = std::get_if<program::Scan>(&node)) {
      add_chain_of_scan(*scan);
    }
    program::for_each_def(node, [&](program::Tid tid) { add_unique(access.writes, tid.idx); });
    program::for_each_value_def(node, [&](program::Vid vid) { add_unique(access.value_writes, vid.idx); });
  }

  Dataflow::Access access;

 private:
  void read(uint32_t slot) {
    if (contains(access.writes, slot)) return;
    for (const auto& use : access.reads)
      if (use.slot == slot) return;
    access.reads.push_back({slot, Dataflow::kExternal});
  }
  void read_value(uint32_t slot) {
    if (!contains(access.value_writes, slot)) add_unique(access.value_reads, slot);
  }
  void absorb(const Dataflow::Access& other) {
    for (const auto& use : other.reads) read(use.slot);
    for (uint32_t slot : other.value_reads) read_value(slot);
  }
  // What `one` branch writes and `other` leaves as it is.
  void add_kept(const Dataflow::Access& one, const Dataflow::Access& other) {
    for (uint32_t slot : one.writes)
      if (!contains(other.writes, slot)) read(slot);
    for (uint32_t slot : one.value_writes)
      if (!contains(other.value_writes, slot)) read_value(slot);
  }
  void add_branches(const Chain& then_chain, const Chain& else_chain) {
    Collector a(program_), b(program_);
    a.add(then_chain);
    b.add(else_chain);
    absorb(a.access);
    absorb(b.access);
    // A slot that only one branch writes keeps its old content on the other way: that is a read of it.
    add_kept(a.access, b.access);
    add_kept(b.access, a.access);
    for (const auto* side : {&a.access, &b.access}) {
      for (uint32_t slot : side->writes) add_unique(access.writes, slot);
      for (uint32_t slot : side->value_writes) add_unique(access.value_writes, slot);
    }
  }
  void add_chain_of_scan(const program::Scan& scan) {
    for (program::Tid tid : scan.sliced) add_unique(access.writes, tid.idx);  // set before the body runs
    Collector body(program_);
    body.add(program_.chains[static_cast<size_t>(scan.body_chain_idx)]);
    absorb(body.access);
    for (uint32_t slot : body.access.writes) add_unique(access.writes, slot);
    for (uint32_t slot : body.access.value_writes) add_unique(access.value_writes, slot);
  }

  const Program& program_;
};

}  // namespace

Dataflow::Dataflow(const Program& program) : program_(program) {
  std::vector<int> last_writer(program.n_tensors(), kExternal);
  for (const Node& node : program.chains[program.main_chain]) {
    Collector collector(program);
    collector.add(node);
    Access& access = access_.emplace_back(std::move(collector.access));
    for (Use& use : access.reads) use.writer = last_writer[use.slot];
    for (uint32_t slot : access.writes) last_writer[slot] = static_cast<int>(access_.size()) - 1;
  }
}

std::vector<int> Dataflow::readers(int writer, uint32_t slot) const {
  std::vector<int> out;
  for (int i = std::max(writer + 1, 0); i < size(); ++i) {
    for (const Use& use : at(i).reads)
      if (use.slot == slot && use.writer == writer) out.push_back(i);
    const auto& writes = at(i).writes;
    if (std::find(writes.begin(), writes.end(), slot) != writes.end()) return out;
  }
  return out;
}

bool Dataflow::only_reader(int writer, uint32_t slot, int reader) const {
  if (program_.kind_of({slot}) != program::TensorKind::kTemp) return false;
  const std::vector<int> all = readers(writer, slot);
  return all.size() == 1 && all[0] == reader;
}

int Dataflow::writer_of(int instruction, uint32_t slot) const {
  for (const Use& use : at(instruction).reads)
    if (use.slot == slot) return use.writer;
  return kExternal;
}

}  // namespace tessera::runtime
