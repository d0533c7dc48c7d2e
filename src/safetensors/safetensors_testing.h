// Safetensors files for tests.
#pragma once

#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "safetensors/file.h"

namespace tessera::testing {

class SafetensorsWriter {
 public:
  void add(const std::string& name, safetensors::ElementType type, const std::vector<int64_t>& shape,
           std::span<const std::byte> bytes) {
    header_[name] = {{"dtype", std::string(safetensors::name_of(type))},
                     {"shape", shape},
                     {"data_offsets", {data_.size(), data_.size() + bytes.size()}}};
    data_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  void set_metadata(const std::string& key, const std::string& text) { header_["__metadata__"][key] = text; }

  nlohmann::json& header() { return header_; }  // to be mutated
  std::string& data() { return data_; }

  std::string encode() const { return encode(header_.dump()); }
  std::string encode(std::string header) const {
    header += std::string((8 - header.size() % 8) % 8, ' ');
    const uint64_t length = header.size();
    std::string out(sizeof(length), '\0');
    std::memcpy(out.data(), &length, sizeof(length));
    return out + header + data_;
  }
  void write(const std::string& path) const { std::ofstream(path, std::ios::binary) << encode(); }

 private:
  nlohmann::json header_ = nlohmann::json::object();
  std::string data_;
};

}  // namespace tessera::testing
