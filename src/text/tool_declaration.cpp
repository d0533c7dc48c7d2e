#include "text/tool_declaration.h"

#include <string_view>

#include "text/ascii.h"
#include "text/gemma_dict.h"

namespace tessera::text {
namespace {

using nlohmann::json;

// Schemas of arguments nest; deeper ones than this are not meant seriously.
constexpr int kMaxDepth = 32;

const json* member(const json& object, const char* key) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(key);
  return found == object.end() ? nullptr : &*found;
}

// The text of a string member; empty if there is none.
std::string_view text_of(const json* value) {
  return value && value->is_string() ? std::string_view(value->get_ref<const std::string&>()) : std::string_view();
}

// "STRING" of "string"; of ["string", "null"] the first that is not null.
std::string type_of(const json& schema) {
  const json* type = member(schema, "type");
  if (!type || !type->is_array()) return to_upper_ascii(text_of(type));
  for (const json& one : *type)
    if (text_of(&one) != "null") return to_upper_ascii(text_of(&one));
  return "NULL";
}

bool is_true(const json* value) { return value && value->is_boolean() && value->get<bool>(); }
bool is_filled(const json* value) { return value && value->is_structured() && !value->empty(); }

// Writes the members of one { } with commas between them.
class Members {
 public:
  explicit Members(std::string& out) : out_(out) {}
  std::string& next(std::string_view key) {
    if (!is_first_) out_ += ',';
    is_first_ = false;
    return out_.append(key).append(":");
  }

 private:
  std::string& out_;
  bool is_first_ = true;
};

void append_strings(std::string& out, const json& array) {
  out += '[';
  for (size_t i = 0; i < array.size(); ++i) {
    if (i > 0) out += ',';
    append_gemma_string(out, text_of(&array[i]));
  }
  out += ']';
}

Status append_properties(std::string& out, const json& properties, bool skip_schema_keys, int depth);

bool is_schema_key(std::string_view key) {
  return key == "description" || key == "type" || key == "properties" || key == "required" || key == "nullable";
}

// What an array's elements look like: every member of the schema, in order.
Status append_items(std::string& out, const json& items, int depth) {
  Members members(out);
  out += '{';
  for (const auto& [key, value] : sorted_members(items)) {
    if (value->is_null()) continue;
    members.next(key);
    if (key == "properties") {
      out += '{';
      TRY(append_properties(out, *value, false, depth));
      out += '}';
    } else if (key == "required" && value->is_array()) {
      append_strings(out, *value);
    } else if (key == "type") {
      append_gemma_string(out, type_of(items));
    } else {
      append_gemma_value(out, *value, GemmaKeys::kQuoted);
    }
  }
  out += '}';
  return {};
}

Status append_schema(std::string& out, const json& schema, int depth) {
  if (depth > kMaxDepth) return invalid_argument("tool declaration: schema nested deeper than {}", kMaxDepth);
  const std::string type = type_of(schema);
  Members members(out);
  out += '{';
  if (const auto description = text_of(member(schema, "description")); !description.empty()) {
    append_gemma_string(members.next("description"), description);
  }
  if (const json* values = member(schema, "enum"); type == "STRING" && is_filled(values)) {
    append_gemma_value(members.next("enum"), *values, GemmaKeys::kQuoted);
  }
  if (const json* items = member(schema, "items"); type == "ARRAY" && is_filled(items) && items->is_object()) {
    TRY(append_items(members.next("items"), *items, depth));
  }
  if (is_true(member(schema, "nullable"))) members.next("nullable") += "true";
  if (type == "OBJECT") {
    const json* properties = member(schema, "properties");
    const bool has_properties = properties && properties->is_object();
    members.next("properties") += '{';
    TRY(append_properties(out, has_properties ? *properties : schema, !has_properties, depth));
    out += '}';
    if (const json* required = member(schema, "required"); is_filled(required) && required->is_array()) {
      append_strings(members.next("required"), *required);
    }
  }
  append_gemma_string(members.next("type"), type);
  out += '}';
  return {};
}

// An object schema without "properties" lists its properties beside its own keys, which are then skipped.
Status append_properties(std::string& out, const json& properties, bool skip_schema_keys, int depth) {
  Members members(out);
  for (const auto& [key, schema] : sorted_members(properties)) {
    if (skip_schema_keys && is_schema_key(key)) continue;
    members.next(key);
    TRY(append_schema(out, *schema, depth + 1));
  }
  return {};
}

Status append_parameters(std::string& out, const json& parameters) {
  Members members(out);
  out += '{';
  if (const json* properties = member(parameters, "properties"); is_filled(properties)) {
    members.next("properties") += '{';
    TRY(append_properties(out, *properties, false, 0));
    out += '}';
  }
  if (const json* required = member(parameters, "required"); is_filled(required) && required->is_array()) {
    append_strings(members.next("required"), *required);
  }
  const std::string type = type_of(parameters);
  append_gemma_string(members.next("type"), type.empty() ? "OBJECT" : type);
  out += '}';
  return {};
}

}  // namespace

Status append_tool_declaration(std::string& out, const json& tool) {
  const json* nested = member(tool, "function");
  const json& function = nested ? *nested : tool;
  const std::string_view name = text_of(member(function, "name"));
  if (name.empty()) return invalid_argument("tool declaration: no name");
  out.append("declaration:").append(name).append("{description:");
  append_gemma_string(out, text_of(member(function, "description")));
  if (const json* parameters = member(function, "parameters"); is_filled(parameters)) {
    out += ",parameters:";
    TRY(append_parameters(out, *parameters));
  }
  if (const json* response = member(function, "response"); response && response->is_object()) {
    Members members(out += ",response:{");
    if (const auto description = text_of(member(*response, "description")); !description.empty()) {
      append_gemma_string(members.next("description"), description);
    }
    append_gemma_string(members.next("type"), type_of(*response));
    out += '}';
  }
  out += '}';
  return {};
}

}  // namespace tessera::text
