#include "program/def_use.h"

namespace tessera::program::detail {
namespace {

struct Visitor {
  SlotVisitor visit;
  void* context;

  void operator()(Tid& slot) const { visit(context, SlotRole::kUse, slot.idx); }
  void operator()(Out& slot) const { visit(context, SlotRole::kDef, slot.idx); }
  void operator()(Vid& slot) const { visit(context, SlotRole::kValueUse, slot.idx); }
  void operator()(VidOut& slot) const { visit(context, SlotRole::kValueDef, slot.idx); }
  void operator()(IntOrVid& operand) const {
    if (operand.is_vid) (*this)(operand.vid);
  }
  void operator()(FloatOrVid& operand) const {
    if (operand.is_vid) (*this)(operand.vid);
  }
  void operator()(VidOrTid& operand) const {
    if (operand.is_vid)
      (*this)(operand.vid);
    else
      (*this)(operand.tid);
  }
  void operator()(IntOrVidOrTid& operand) const {
    if (operand.kind == IntOrVidOrTid::Kind::kVid) (*this)(operand.vid);
    if (operand.kind == IntOrVidOrTid::Kind::kTid) (*this)(operand.tid);
  }
  template <typename T>
  void operator()(std::optional<T>& field) const {
    if (field) (*this)(*field);
  }
  template <typename T>
  void operator()(std::vector<T>& list) const {
    for (T& item : list) (*this)(item);
  }
  template <typename T>
  void operator()(RequiredVector<T>& list) const {
    for (T& item : list) (*this)(item);
  }
  void operator()(String&) const {}
  template <typename T>
  requires std::is_arithmetic_v<T> || std::is_enum_v<T>
  void operator()(T&) const {}
};

}  // namespace

void visit_slots(Node& node, SlotVisitor visit, void* context) {
  const Visitor visitor{visit, context};
  std::visit([&](auto& n) { n.with_fields([&](auto&... fields) { (visitor(fields), ...); }); }, node);
}

void visit_chains(const Node& node, ChainVisitor visit, void* context) {
  if (const auto* branch = std::get_if<If>(&node)) {
    visit(context, branch->then_chain_idx);
    visit(context, branch->else_chain_idx);
  } else if (const auto* scan = std::get_if<Scan>(&node)) {
    visit(context, static_cast<uint32_t>(scan->body_chain_idx));
  }
}

}  // namespace tessera::program::detail
