// tessera verify: runs the Metal kernels of a program in the emulator, against the native ones.
#include "cli/command.h"
#include "cli/json_text.h"
#include "program/pte_loader.h"
#include "runtime/verify_kernels.h"

namespace tessera::cli {
namespace {

using nlohmann::json;
using runtime::KernelVerdict;

struct VerifyFlags {
  std::string path;
  program::LoadOptions load;
  bool json_out = false;
  uint64_t seed = 1;
  int threads = 0;
};

json to_json(const KernelVerdict& v) {
  json out{{"name", v.kernel.name},
           {"arguments", v.kernel.arguments},
           {"uses", v.kernel.uses},
           {"source_hash", fmt::format("{:016x}", v.kernel.source_hash)},
           {"header_hash", fmt::format("{:016x}", v.kernel.header_hash)},
           {"rows", v.rows},
           {"values", v.n_values},
           {"largest_error", v.largest_error},
           {"error_of_bound", v.error_of_bound},
           {"ok", v.problem.empty()}};
  if (!v.problem.empty()) out["problem"] = v.problem;
  return out;
}

void print(const std::vector<KernelVerdict>& verdicts) {
  fmt::print("{:<20} {:>5}  {:<42} {:>4} {:>8} {:>11} {:>8}\n", "kernel", "uses", "arguments", "rows", "values",
             "error", "of bound");
  for (const KernelVerdict& v : verdicts) {
    fmt::print("{:<20} {:>5}  {:<42} ", v.kernel.name, v.kernel.uses, v.kernel.arguments);
    if (v.n_values == 0)
      fmt::print("not run: {}\n", v.problem);
    else
      fmt::print("{:>4} {:>8} {:>11.3g} {:>7.1f}%{}\n", v.rows, v.n_values, v.largest_error, 100 * v.error_of_bound,
                 v.problem.empty() ? "" : "  MISMATCH");
  }
}

void run(const VerifyFlags& flags) {
  const program::Program program = need(program::load_pte(flags.path, flags.load));
  ThreadPool pool(flags.threads);
  std::mt19937_64 rng(flags.seed);
  const std::vector<KernelVerdict> verdicts = runtime::verify_kernels(program, pool, rng);
  if (flags.json_out) {
    json out{{"file", flags.path}, {"kernels", json::array()}};
    for (const KernelVerdict& v : verdicts) out["kernels"].push_back(to_json(v));
    fmt::print("{}\n", json_text(out));
  } else {
    print(verdicts);
  }
  for (const KernelVerdict& v : verdicts)
    if (!v.problem.empty()) throw Failure{fmt::format("{}: kernel {}: {}", flags.path, v.kernel.name, v.problem)};
}

}  // namespace

void add_verify(CLI::App& app) {
  auto* command = app.add_subcommand(
      "verify", "Run a program's Metal kernels in an emulator, on random inputs, and compare with the native kernels");
  auto flags = std::make_shared<VerifyFlags>();
  command->add_option("PROGRAM", flags->path, "A .pte file")->required();
  command->add_option("--ptd", flags->load.ptd_paths, "Weights of the program that are in files of their own");
  command->add_option("--seed", flags->seed, "Of the random inputs")->capture_default_str();
  command->add_option("--threads", flags->threads, "CPU threads of the native kernels; 0: one per processor")
      ->check(thread_counts());
  command->add_flag("--json", flags->json_out, "One JSON object on stdout");
  command->callback([flags] { run(*flags); });
}

}  // namespace tessera::cli
