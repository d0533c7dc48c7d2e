// tessera bench: prefill and decode speed of a model file, as tokens per second and as a fraction of what this machine
// can do, measured in turn with them. A rate alone says little: machines are shared, clocks move.
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <random>

#include "cli/bench_limits.h"
#include "cli/command.h"
#include "cli/json_text.h"
#include "cli/model_file.h"

namespace tessera::cli {
namespace {

using Clock = std::chrono::steady_clock;
using nlohmann::json;

constexpr int64_t kWarmUp = 2;  // decode steps that are not measured: a device loads kernels in one, records the other

struct BenchFlags {
  ModelFlags model;
  int64_t n_prompt = 512, n_generate = 64;
  int repeat = 3;
  bool json_out = false, profile = false;
};

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// Runs run(i) for i in [0, n), each over `tokens`, in turn with limit(), of whose unit a token takes `per_token`.
// tok_s: median, best and worst. `share`: of the mean of the limits before and after each.
template <typename Run, typename Limit>
json in_turn(int n, int64_t tokens, double per_token, const std::string& share, Run run, Limit limit) {
  Samples rates, shares;
  double before = limit();
  for (int i = 0; i < n; ++i) {
    const auto start = Clock::now();
    run(i);
    const double rate = static_cast<double>(tokens) / seconds_since(start), after = limit();
    rates.add(rate);
    if (before > 0) shares.add(rate * per_token / ((before + after) / 2));
    before = after;
  }
  json out;
  rates.put(out, "tok_s");
  if (!shares.empty()) shares.put(out, share);
  return out;
}

// The peak counts from here on, or where the system does not do that, still from the start of the process.
void forget_peak_rss() { std::ofstream("/proc/self/clear_refs") << 5; }
int64_t peak_rss_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return int64_t{usage.ru_maxrss} * 1024;
}

class Bench {
 public:
  Bench(const BenchFlags& flags, const LoadedModel& loaded)
      : flags_(flags),
        model_(*loaded.model),
        session_(open_session(loaded)),
        on_cpu_(dynamic_cast<runtime::Session*>(session_.get())),
        on_device_(dynamic_cast<runtime::DeviceSession*>(session_.get())) {
    const int64_t need_tokens = flags.model.context + flags.n_generate + kWarmUp;
    if (need_tokens > session_->capacity() || flags.n_prompt > session_->capacity()) {
      throw Failure{fmt::format("{} tokens of context do not fit the {} this model was made for (a GGUF: fewer tokens)",
                                std::max(need_tokens, flags.n_prompt), session_->capacity())};
    }
  }

  // Pages in, sizes the buffers, loads kernels.
  void first_step() {
    step(random_tokens(std::min<int64_t>(flags_.n_prompt, 8)));
    session_->reset();
  }

  json prefill(Limits& limits) {
    const auto tokens = random_tokens(flags_.n_prompt);
    const runtime::LinearOps ops = model_.ops_per_token();
    const double gop = static_cast<double>(ops.all()) * 1e-9;
    json out = in_turn(
        flags_.repeat, flags_.n_prompt, gop, "fraction_of_peak",
        [&](int) {
          session_->reset();
          step(tokens);
        },
        [&] { return limits.peak_gop_s(ops); });
    session_->reset();
    out["tokens"] = flags_.n_prompt;
    out["ops_per_token"] = ops.all();
    out["gop_s"] = out["tok_s"].get<double>() * gop;
    return out;
  }

  // One token at a time, after `context` tokens.
  json decode(Limits& limits) {
    const int64_t context = flags_.model.context;
    session_->reset();
    if (context > 0) step(random_tokens(context));
    const auto tokens = random_tokens(flags_.n_generate);
    decode_steps(random_tokens(kWarmUp));
    const int64_t n_pieces = std::min<int64_t>(flags_.repeat, flags_.n_generate), piece = flags_.n_generate / n_pieces;
    const int64_t bytes = model_.weight_bytes_per_token() + model_.cache_bytes_read(context + flags_.n_generate / 2);
    json out = in_turn(
        static_cast<int>(n_pieces), piece, static_cast<double>(bytes) * 1e-9, "fraction_of_read",
        [&](int i) {
          decode_steps(std::span(tokens).subspan(static_cast<size_t>(i * piece), static_cast<size_t>(piece)));
        },
        [&] { return limits.read_gb_s(); });
    out["bytes_per_token"] = bytes;
    out["context"] = context;
    return out;
  }

  // Seconds by kind of step, of one prefill and one decode step.
  json profile() {
    json out;
    session_->reset();
    if (on_device_) {
      const int64_t n_first = std::min(flags_.n_prompt, model_.max_tokens_per_step());
      out["prefill"] = need(on_device_->profile(random_tokens(n_first)));
      out["decode"] = need(on_device_->profile(random_tokens(1)));
      return out;
    }
    on_cpu_->enable_profile();
    step(random_tokens(flags_.n_prompt));
    out["prefill"] = by_kind(on_cpu_->profile());
    on_cpu_->enable_profile();
    const int64_t n = std::min<int64_t>(8, session_->capacity() - session_->position());
    for (int64_t i = 0; i < n; ++i) step(random_tokens(1));
    out["decode"] = by_kind(on_cpu_->profile(), static_cast<double>(std::max<int64_t>(n, 1)));
    return out;
  }

 private:
  std::vector<int32_t> random_tokens(int64_t n) {
    std::vector<int32_t> out(static_cast<size_t>(n));
    for (int32_t& token : out) token = static_cast<int32_t>(rng_() % static_cast<uint64_t>(model_.vocab_size()));
    return out;
  }
  void step(std::span<const int32_t> tokens) {
    if (on_device_)
      need(on_device_->step_greedy(tokens));  // only the token comes back
    else if (model_.samples())
      need(session_->sample(tokens, {.temperature = 1}));  // the draw is work, too
    else
      need(session_->step(tokens));
  }
  // One token at a time; on a device greedily from the first, each step fed the token of the one before.
  void decode_steps(std::span<const int32_t> tokens) {
    if (on_device_)
      need(on_device_->continue_greedy(tokens[0], std::ssize(tokens)));
    else
      for (size_t i = 0; i < tokens.size(); ++i) step(tokens.subspan(i, 1));
  }

  json by_kind(const std::vector<double>& seconds, double runs = 1) const {
    std::map<std::string, double> sums;
    for (size_t i = 0; i < seconds.size(); ++i)
      sums[std::string(model_.plan().steps()[i]->kind())] += seconds[i] / runs;
    return sums;
  }

  const BenchFlags& flags_;
  const runtime::Model& model_;
  std::unique_ptr<runtime::StepSession> session_;
  runtime::Session* on_cpu_;  // the same, or null
  runtime::DeviceSession* on_device_;
  std::mt19937_64 rng_{1};
};

json measure(const BenchFlags& flags) {
  // --context counts tokens before the decode; the caches must hold those, the prompt and what is generated.
  ModelFlags model = flags.model;
  if (need(kind_of(model.path)) == FileKind::kGguf)
    model.context = std::max(flags.model.context + flags.n_generate + kWarmUp, flags.n_prompt + 16);
  else
    model.context = 0;
  const auto start = Clock::now();
  const LoadedModel loaded = load_model(model);
  const runtime::Model& m = *loaded.model;
  Bench bench(flags, loaded);
  bench.first_step();
  const double first_token_s = seconds_since(start);
  int64_t peak_bytes = peak_rss_bytes();
  Limits limits(loaded);
  forget_peak_rss();  // the limits' own memory is there from here on
  json out;
  out["prefill"] = bench.prefill(limits);
  out["decode"] = bench.decode(limits);
  if (flags.profile) out["profile"] = bench.profile();
  peak_bytes = std::max(peak_bytes, peak_rss_bytes() - limits.buffer_bytes());
  out["limits"] = limits.all();
  out["model"] = flags.model.path;
  out["threads"] = m.pool().size();
  out["isa"] = std::string(kernels::cpu::name_of(m.isa()));
  out["device"] = loaded.device ? loaded.device->gpu().info().name : "cpu";
  out["load_s"] = loaded.load_s;
  out["first_token_s"] = first_token_s;
  out["peak_rss_bytes"] = peak_bytes;
  return out;
}

// "median (worst - best)", or whatever is asked for after `name`.
std::string spread(const json& of, const std::string& name, double factor, int precision) {
  const auto number = [&](const char* which) { return factor * of[name + which].get<double>(); };
  return fmt::format("{:.{}f} ({:.{}f} - {:.{}f})", number(""), precision, number("_worst"), precision, number("_best"),
                     precision);
}

void print(const json& r) {
  const auto number = [&](const char* a, const char* b) { return r[a][b].get<double>(); };
  const json &limits = r["limits"], &decode = r["decode"], &prefill = r["prefill"];
  const bool on_cpu = r["device"] == "cpu";
  const std::string where = on_cpu ? fmt::format("{} threads, {}", r["threads"].get<int>(), r["isa"].get<std::string>())
                                   : r["device"].get<std::string>();
  fmt::print(
      "{}: {}; loaded in {:.3f} s, first token after {:.3f} s, peak memory {:.0f} MB (mapped weights included)\n",
      r["model"].get<std::string>(), where, r["load_s"].get<double>(), r["first_token_s"].get<double>(),
      r["peak_rss_bytes"].get<double>() / 1e6);
  fmt::print("limits   read {} GB/s", spread(limits, "read_gb_s", 1, 1));
  if (on_cpu)
    fmt::print(", int8 {} GOP/s, f32 {} GFLOP/s", spread(limits, "int8_gop_s", 1, 0),
               spread(limits, "f32_gflop_s", 1, 0));
  fmt::print("\ndecode   {} tok/s, {:.1f} MB a token = {} % of the read limits beside it\n",
             spread(decode, "tok_s", 1, 2), number("decode", "bytes_per_token") / 1e6,
             spread(decode, "fraction_of_read", 100, 1));
  fmt::print("prefill  {} tok/s, {:.2f} GOP a token = {:.2f} TOP/s", spread(prefill, "tok_s", 1, 2),
             number("prefill", "ops_per_token") / 1e9, number("prefill", "gop_s") / 1e3);
  if (on_cpu) fmt::print(" = {} % of the peaks beside it", spread(prefill, "fraction_of_peak", 100, 1));
  fmt::print("\n");
  if (!r.contains("profile")) return;
  for (const char* phase : {"prefill", "decode"}) {
    fmt::print("{} by step (ms):", phase);
    for (const auto& [kind, seconds] : r["profile"][phase].items())
      fmt::print("  {} {:.3f}", kind, 1e3 * seconds.get<double>());
    fmt::print("\n");
  }
}

}  // namespace

void add_bench(CLI::App& app) {
  auto* command = app.add_subcommand("bench", "Measure prefill and decode, and the machine's limits in the same run");
  auto flags = std::make_shared<BenchFlags>();
  flags->model.add_to(*command, "Tokens in the context before decode is measured");
  command->add_option("-p,--prompt-tokens", flags->n_prompt, "Tokens of the prefill")
      ->capture_default_str()
      ->check(token_counts(1));
  command->add_option("-n,--generate-tokens", flags->n_generate, "Tokens of the decode")
      ->capture_default_str()
      ->check(token_counts(1));
  command->add_option("--repeat", flags->repeat, "Measurements; the median is reported, with best and worst")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  command->add_flag("--json", flags->json_out, "One JSON object on stdout");
  command->add_flag("--profile", flags->profile, "Also where the time of a prefill and of a decode step goes");
  command->callback([flags] {
    const json result = measure(*flags);
    if (flags->json_out)
      fmt::print("{}\n", json_text(result));
    else
      print(result);
  });
}

}  // namespace tessera::cli
