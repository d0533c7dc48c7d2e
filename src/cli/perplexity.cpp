// tessera perplexity: how well a model predicts a text. The text's tokens are cut into windows without overlap; each
// window starts afresh with bos, and every token of it is scored.
#include <cmath>
#include <cstdio>
#include <fstream>
#include <iterator>

#include "cli/command.h"
#include "cli/model_file.h"
#include "cli/progress.h"

namespace tessera::cli {
namespace {

struct PerplexityFlags {
  ModelFlags model;
  std::string file;
  int64_t window = 512;
  bool json = false;
};

// -log softmax(logits)[token]
double surprise(std::span<const float> logits, int32_t token) {
  float top = logits[0];
  for (float x : logits) top = std::max(top, x);
  double sum = 0;
  for (float x : logits) sum += std::exp(static_cast<double>(x - top));
  return std::log(sum) - static_cast<double>(logits[static_cast<size_t>(token)] - top);
}

class Scorer {
 public:
  Scorer(const LoadedModel& loaded, bool all)
      : session_(open_session(loaded)),
        pool_(loaded.model->pool()),
        vocab_(static_cast<size_t>(loaded.model->vocab_size())),
        piece_(all ? static_cast<size_t>(loaded.model->max_tokens_per_step()) : 1) {}

  // Sum of the surprises of tokens 1.. of `window`, each given those before it.
  double score(std::span<const int32_t> window) {
    session_->reset();
    double total = 0;
    const std::span<const int32_t> inputs = window.first(window.size() - 1);
    for (size_t i = 0; i < inputs.size(); i += piece_) {
      const size_t n = std::min(piece_, inputs.size() - i);
      const auto logits = need(session_->step(inputs.subspan(i, n)));
      surprises_.resize(n);
      pool_.parallel_for(static_cast<int64_t>(n), 1, [&](int64_t begin, int64_t end) {
        for (auto t = static_cast<size_t>(begin); t < static_cast<size_t>(end); ++t)
          surprises_[t] = surprise(logits.subspan(t * vocab_, vocab_), window[i + t + 1]);
      });
      for (double x : surprises_) total += x;
    }
    return total;
  }

 private:
  std::unique_ptr<runtime::StepSession> session_;
  ThreadPool& pool_;
  size_t vocab_, piece_;
  std::vector<double> surprises_;
};

void run(const PerplexityFlags& flags) {
  std::ifstream in(flags.file, std::ios::binary);
  if (!in) throw Failure{fmt::format("{}: cannot open the text", flags.file)};
  const std::string text(std::istreambuf_iterator<char>(in), {});
  bool all = false;
  const LoadedModel loaded = load_for_logits(flags.model, all);
  if (!loaded.tokenizer)
    throw Failure{fmt::format("{}: the program carries no tokenizer; give one with --tokenizer", flags.model.path)};
  const std::vector<int32_t> tokens = loaded.tokenizer->encode(text);
  const int32_t bos = loaded.tokenizer->vocabulary().bos;
  const size_t lead = bos >= 0 ? 1 : 0;
  const auto window = static_cast<size_t>(std::min(flags.window, loaded.model->context_length()));
  if (window <= lead + 1 || tokens.size() < 2) throw Failure{"nothing to score: the text or the window is too short"};

  Scorer scorer(loaded, all);
  double total = 0;
  size_t n_scored = 0;
  ProgressLine line("scoring", ProgressLine::Unit::kTokens);
  const auto progress = line.callback();
  for (size_t i = 0; i < tokens.size(); i += window - lead) {
    std::vector<int32_t> piece;
    if (lead) piece.push_back(bos);
    piece.insert(piece.end(), tokens.begin() + static_cast<std::ptrdiff_t>(i),
                 tokens.begin() + static_cast<std::ptrdiff_t>(std::min(i + window - lead, tokens.size())));
    if (piece.size() < 2) break;
    total += scorer.score(piece);
    n_scored += piece.size() - 1;
    progress(i, tokens.size());
  }
  const double nll = total / static_cast<double>(n_scored);
  if (flags.json) {
    fmt::print("{{\"perplexity\": {:.6f}, \"nll\": {:.6f}, \"tokens\": {}, \"window\": {}}}\n", std::exp(nll), nll,
               n_scored, window);
  } else {
    fmt::print("perplexity {:.4f} ({} tokens, windows of {}, {:.4f} nats a token)\n", std::exp(nll), n_scored, window,
               nll);
  }
}

}  // namespace

void add_perplexity(CLI::App& app) {
  auto* command = app.add_subcommand("perplexity", "Measure how well a model predicts a text file (lower is better)");
  auto flags = std::make_shared<PerplexityFlags>();
  flags->model.add_to(*command);
  command->add_option("TEXT", flags->file, "A text file")->required();
  command->add_option("--window", flags->window, "Tokens scored with one context")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  command->add_flag("--json", flags->json, "One JSON object on stdout");
  command->callback([flags] { run(*flags); });
}

}  // namespace tessera::cli
