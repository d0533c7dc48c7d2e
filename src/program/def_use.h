// What an instruction reads and writes, for planners and verifiers. The answer comes from the types of a node's fields
// (Tid, Out, Vid, VidOut, operands that hold a slot), so no node is listed here. A slot may be visited more than once.
// What the chains of an If or Scan touch is not included; for_each_chain names them.
#pragma once

#include <cstdint>
#include <type_traits>

#include "program/nodes.h"

namespace tessera::program {

enum class SlotRole { kUse, kDef, kValueUse, kValueDef };

namespace detail {
// `visit` gets the index of every slot the node names, in wire order; writing through it renumbers the node.
using SlotVisitor = void (*)(void* context, SlotRole role, uint32_t& idx);
void visit_slots(Node& node, SlotVisitor visit, void* context);
using ChainVisitor = void (*)(void* context, uint32_t chain);
void visit_chains(const Node& node, ChainVisitor visit, void* context);
}  // namespace detail

// f(SlotRole, uint32_t& idx) over all slots of the node: the way to renumber them.
template <typename F>
void for_each_slot(Node& node, F&& f) {
  using Fn = std::remove_reference_t<F>;
  detail::visit_slots(
      node, [](void* context, SlotRole role, uint32_t& idx) { (*static_cast<Fn*>(context))(role, idx); },
      const_cast<std::remove_const_t<Fn>*>(&f));
}
// f(SlotRole, uint32_t idx).
template <typename F>
void for_each_slot(const Node& node, F&& f) {
  auto read_only = [&](SlotRole role, uint32_t& idx) { f(role, uint32_t{idx}); };
  for_each_slot(const_cast<Node&>(node), read_only);  // read_only does not write
}

// f(Tid) over the tensor slots the node reads, and those it writes.
template <typename F>
void for_each_use(const Node& node, F&& f) {
  for_each_slot(node, [&](SlotRole role, uint32_t idx) {
    if (role == SlotRole::kUse) f(Tid{idx});
  });
}
template <typename F>
void for_each_def(const Node& node, F&& f) {
  for_each_slot(node, [&](SlotRole role, uint32_t idx) {
    if (role == SlotRole::kDef) f(Tid{idx});
  });
}
// f(Vid), the same for value slots.
template <typename F>
void for_each_value_use(const Node& node, F&& f) {
  for_each_slot(node, [&](SlotRole role, uint32_t idx) {
    if (role == SlotRole::kValueUse) f(Vid{idx});
  });
}
template <typename F>
void for_each_value_def(const Node& node, F&& f) {
  for_each_slot(node, [&](SlotRole role, uint32_t idx) {
    if (role == SlotRole::kValueDef) f(Vid{idx});
  });
}

// f(uint32_t chain) over the chains an If or Scan may run. A negative Scan body arrives as a number past every chain.
template <typename F>
void for_each_chain(const Node& node, F&& f) {
  using Fn = std::remove_reference_t<F>;
  detail::visit_chains(
      node, [](void* context, uint32_t chain) { (*static_cast<Fn*>(context))(chain); },
      const_cast<std::remove_const_t<Fn>*>(&f));
}

}  // namespace tessera::program
