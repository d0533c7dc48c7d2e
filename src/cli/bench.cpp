// tessera bench: prefill and decode speed of a model file, as tokens per second and as a fraction of what this machine
// can do, measured in the same run. A rate alone says little: machines are shared, clocks move.
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <random>

#include "cli/command.h"
#include "cli/model_file.h"
#include "kernels/cpu/limits.h"

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

struct Limits {
  double read_gb_s = 0, int8_gop_s = 0, f32_gflop_s = 0;
  // The best seen in the run: a limit is what the machine can do, and both samples bracket the measurement.
  void measure(const LoadedModel& loaded) {
    namespace cpu = kernels::cpu;
    if (loaded.device) {
      read_gb_s = std::max(read_gb_s, need(runtime::read_gb_s(loaded.device->gpu())));
      return;
    }
    ThreadPool& pool = loaded.model->pool();
    const cpu::Isa isa = loaded.model->isa();
    read_gb_s = std::max(read_gb_s, cpu::read_gb_s(pool, isa));
    int8_gop_s = std::max(int8_gop_s, cpu::int8_gop_s(pool, isa));
    f32_gflop_s = std::max(f32_gflop_s, cpu::f32_gflop_s(pool, isa));
  }
};

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

  json prefill() {
    std::vector<double> times;
    const auto tokens = random_tokens(flags_.n_prompt);
    for (int i = 0; i < flags_.repeat; ++i) {
      session_->reset();
      const auto start = Clock::now();
      step(tokens);
      times.push_back(seconds_since(start));
    }
    session_->reset();
    return rates(times, flags_.n_prompt);
  }

  // One token at a time, after `context` tokens.
  json decode() {
    session_->reset();
    if (flags_.model.context > 0) step(random_tokens(flags_.model.context));
    const auto tokens = random_tokens(flags_.n_generate);
    decode_steps(random_tokens(kWarmUp));
    const int64_t piece = std::max<int64_t>(1, flags_.n_generate / std::max(1, flags_.repeat));
    std::vector<double> times;
    for (int64_t i = 0; i + piece <= flags_.n_generate; i += piece) {
      const auto start = Clock::now();
      decode_steps(std::span(tokens).subspan(static_cast<size_t>(i), static_cast<size_t>(piece)));
      times.push_back(seconds_since(start));
    }
    return rates(times, piece);
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

  static json rates(std::vector<double> times, int64_t tokens) {
    std::sort(times.begin(), times.end());
    const auto rate = [&](double t) { return static_cast<double>(tokens) / t; };
    return {{"tok_s", rate(times[times.size() / 2])},
            {"tok_s_best", rate(times.front())},
            {"tok_s_worst", rate(times.back())}};
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
  Limits limits;
  int64_t peak_bytes = peak_rss_bytes();
  limits.measure(loaded);
  forget_peak_rss();  // the limits' own buffers
  json out;
  out["prefill"] = bench.prefill();
  out["decode"] = bench.decode();
  if (flags.profile) out["profile"] = bench.profile();
  peak_bytes = std::max(peak_bytes, peak_rss_bytes());
  limits.measure(loaded);

  const int64_t bytes = m.weight_bytes_per_token() + m.cache_bytes_read(flags.model.context + flags.n_generate / 2);
  out["limits"] = {
      {"read_gb_s", limits.read_gb_s}, {"int8_gop_s", limits.int8_gop_s}, {"f32_gflop_s", limits.f32_gflop_s}};
  auto& decode = out["decode"];
  decode["bytes_per_token"] = bytes;
  decode["context"] = flags.model.context;
  decode["fraction_of_read"] = decode["tok_s"].get<double>() * static_cast<double>(bytes) / 1e9 / limits.read_gb_s;
  auto& prefill = out["prefill"];
  prefill["tokens"] = flags.n_prompt;
  prefill["ops_per_token"] = m.ops_per_token();
  const double peak = flags.model.exact ? limits.f32_gflop_s : limits.int8_gop_s;
  const double gop_s = prefill["tok_s"].get<double>() * static_cast<double>(m.ops_per_token()) / 1e9;
  prefill["gop_s"] = gop_s;
  if (peak > 0) prefill["fraction_of_peak"] = gop_s / peak;  // of the CPU; a GPU's is not measured here
  out["model"] = flags.model.path;
  out["threads"] = m.pool().size();
  out["isa"] = std::string(kernels::cpu::name_of(m.isa()));
  out["device"] = loaded.device ? loaded.device->gpu().info().name : "cpu";
  out["load_s"] = loaded.load_s;
  out["first_token_s"] = first_token_s;
  out["peak_rss_bytes"] = peak_bytes;
  return out;
}

void print(const json& r) {
  const auto number = [&](const char* a, const char* b) { return r[a][b].get<double>(); };
  const bool on_cpu = r["device"] == "cpu";
  const std::string where = on_cpu ? fmt::format("{} threads, {}", r["threads"].get<int>(), r["isa"].get<std::string>())
                                   : r["device"].get<std::string>();
  fmt::print(
      "{}: {}; loaded in {:.3f} s, first token after {:.3f} s, peak memory {:.0f} MB (mapped weights included)\n",
      r["model"].get<std::string>(), where, r["load_s"].get<double>(), r["first_token_s"].get<double>(),
      r["peak_rss_bytes"].get<double>() / 1e6);
  fmt::print("limits   read {:.1f} GB/s", number("limits", "read_gb_s"));
  if (on_cpu)
    fmt::print(", int8 {:.0f} GOP/s, f32 {:.0f} GFLOP/s", number("limits", "int8_gop_s"),
               number("limits", "f32_gflop_s"));
  fmt::print("\n");
  fmt::print("decode   {:8.2f} tok/s  ({:.2f} - {:.2f})  {:.1f} MB a token = {:.1f} % of the read limit\n",
             number("decode", "tok_s"), number("decode", "tok_s_worst"), number("decode", "tok_s_best"),
             number("decode", "bytes_per_token") / 1e6, 100 * number("decode", "fraction_of_read"));
  fmt::print("prefill  {:8.2f} tok/s  ({:.2f} - {:.2f})  {:.2f} GOP a token, {:.2f} TOP/s", number("prefill", "tok_s"),
             number("prefill", "tok_s_worst"), number("prefill", "tok_s_best"),
             number("prefill", "ops_per_token") / 1e9, number("prefill", "gop_s") / 1e3);
  if (on_cpu) fmt::print(" = {:.1f} % of the peak", 100 * number("prefill", "fraction_of_peak"));
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
      ->check(CLI::PositiveNumber);
  command->add_option("-n,--generate-tokens", flags->n_generate, "Tokens of the decode")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  command->add_option("--repeat", flags->repeat, "Measurements; the median is reported, with best and worst")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  command->add_flag("--json", flags->json_out, "One JSON object on stdout");
  command->add_flag("--profile", flags->profile, "Also where the time of a prefill and of a decode step goes");
  command->callback([flags] {
    const json result = measure(*flags);
    if (flags->json_out)
      fmt::print("{}\n", result.dump(2));
    else
      print(result);
  });
}

}  // namespace tessera::cli
