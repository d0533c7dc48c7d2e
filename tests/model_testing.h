// What the cross-room model tests share: compiling a GGUF, running it token by token or at once, comparing logits.
#pragma once

#include <cmath>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "compile/compile.h"
#include "gguf/file.h"
#include "gguf/writer.h"
#include "runtime/session.h"
#include "test_util.h"

namespace tessera::testing {

struct Reference {
  std::string gguf;
  std::vector<int32_t> tokens;
  std::vector<float> logits;  // (n_tokens, vocab), float64 arithmetic on the dequantized weights

  size_t vocab() const { return logits.size() / tokens.size(); }
};

// A model of $TESSERA_SHARED/vectors: `folder`/`name`.gguf with its tokens and logits.
inline Reference load_reference(const std::string& folder, const std::string& name) {
  const auto dir = shared_dir() / "vectors" / folder;
  Reference out{.gguf = (dir / (name + ".gguf")).string()};
  const auto text = read_file(dir / "tokens.txt");
  std::istringstream in(std::string(text.begin(), text.end()));
  for (int32_t id; in >> id;) out.tokens.push_back(id);
  out.logits = read_array<float>(dir / (name + ".logits.f32"));
  return out;
}

inline program::Program compile_model(const std::string& gguf, compile::CompileOptions options) {
  auto file = gguf::File::open(gguf);
  EXPECT_TRUE(file) << file.error().message;
  auto program = compile::compile_gguf(*file, options);
  EXPECT_TRUE(program) << program.error().message;
  EXPECT_TRUE(program::materialize(*program));
  return std::move(*program);
}

inline std::shared_ptr<const runtime::Model> make_model(program::Program program, runtime::ModelOptions options) {
  auto model = runtime::Model::create(std::move(program), options);
  EXPECT_TRUE(model) << model.error().message;
  return model ? *model : nullptr;
}

inline std::unique_ptr<runtime::Session> make_session(std::shared_ptr<const runtime::Model> model) {
  auto session = runtime::Session::create(std::move(model));
  EXPECT_TRUE(session) << session.error().message;
  return std::move(*session);
}

// Logits after every token, fed in pieces of `chunk`; with all_logits one row a token, else the last row of each piece.
inline std::vector<float> run_tokens(runtime::Session& session, std::span<const int32_t> tokens, size_t chunk) {
  std::vector<float> out;
  for (size_t i = 0; i < tokens.size(); i += chunk) {
    const auto logits = session.step(tokens.subspan(i, std::min(chunk, tokens.size() - i)));
    EXPECT_TRUE(logits) << logits.error().message;
    if (!logits) return out;
    out.insert(out.end(), logits->begin(), logits->end());
  }
  return out;
}

// ||a - b|| / ||b||
inline double relative_error(std::span<const float> a, std::span<const float> b) {
  if (a.size() != b.size()) return 1e300;
  double error = 0, norm = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    error += (static_cast<double>(a[i]) - b[i]) * (static_cast<double>(a[i]) - b[i]);
    norm += static_cast<double>(b[i]) * b[i];
  }
  return std::sqrt(error / norm);
}

inline std::vector<size_t> argmaxes(std::span<const float> logits, size_t vocab) {
  std::vector<size_t> out;
  for (size_t i = 0; i + vocab <= logits.size(); i += vocab)
    out.push_back(static_cast<size_t>(std::max_element(logits.begin() + static_cast<std::ptrdiff_t>(i),
                                                       logits.begin() + static_cast<std::ptrdiff_t>(i + vocab)) -
                                      logits.begin()) -
                  i);
  return out;
}

// The file at `from` with every matrix in another format, made from its dequantized values.
inline void rewrite_matrices(const std::string& from, const std::string& to, const quant::Format& format) {
  const auto in = *gguf::File::open(from);
  const auto target = [&](const gguf::TensorInfo& tensor) { return tensor.dims.size() == 2 ? &format : tensor.format; };
  std::vector<gguf::TensorDeclaration> declarations;
  for (const gguf::TensorInfo& tensor : in->tensors())
    declarations.push_back({tensor.name, target(tensor), tensor.dims});
  auto writer = gguf::Writer::create(to, in->metadata(), declarations);
  ASSERT_TRUE(writer) << writer.error().message;
  for (const gguf::TensorInfo& tensor : in->tensors()) {
    std::vector<float> values(static_cast<size_t>(tensor.n_values()));
    tensor.format->dequantize(in->bytes(tensor).data(), tensor.n_values(), values.data());
    std::vector<std::byte> packed(static_cast<size_t>(target(tensor)->bytes_for(tensor.n_values())));
    target(tensor)->quantize(values.data(), tensor.n_values(), packed.data());
    ASSERT_TRUE(writer->write(packed));
  }
  ASSERT_TRUE(writer->commit());
}

}  // namespace tessera::testing
