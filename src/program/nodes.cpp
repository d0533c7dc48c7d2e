#include "program/nodes.h"

#include <memory>

namespace tessera::program {

Node::Node() = default;
Node::Node(const Node&) = default;
Node::Node(Node&&) noexcept = default;
Node& Node::operator=(const Node& other) { return *this = Node(other); }
Node& Node::operator=(Node&& other) noexcept {
  if (this == &other) return *this;
  std::destroy_at(this);
  return *std::construct_at(this, std::move(other));
}
Node::~Node() = default;
bool Node::operator==(const Node& other) const {
  return static_cast<const NodeVariant&>(*this) == static_cast<const NodeVariant&>(other);
}

std::string_view name_of(const Node& node) {
  return std::visit([](const auto& n) { return n.kName; }, node);
}

}  // namespace tessera::program
