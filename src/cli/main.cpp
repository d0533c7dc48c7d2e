// tessera: one binary for both halves. Parses, calls, prints; everything else is in the other rooms.
#include <cstdio>
#include <exception>

#include "cli/command.h"

namespace {

constexpr const char* kAbout =
    "Tessera compiles GGUF language models into ExecuTorch programs and runs both on the packed weights.\n\n"
    "  tessera export model.gguf -o model.pte          compile, in seconds, without unpacking a weight\n"
    "  tessera run model.pte -p 'Tell me a tale.'      generate text (a .gguf works as well)\n"
    "  tessera chat model.gguf                         talk to it\n"
    "  tessera bench model.gguf                        how fast, and how far from the machine's limit";

int fail(const std::string& message) {
  std::fprintf(stderr, "tessera: error: %s\n", message.c_str());
  return 1;
}

// Text that did not arrive is no success. (Who reads a part and closes the pipe ends us by SIGPIPE, which says
// nothing.)
int succeed() {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return 0;
  return fail("cannot write to standard output");
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{kAbout, "tessera"};
  app.set_version_flag("--version", "tessera " TESSERA_VERSION);
  app.require_subcommand(1);
  namespace cli = tessera::cli;
  for (auto add :
       {cli::add_export, cli::add_run, cli::add_chat, cli::add_bench, cli::add_inspect, cli::add_verify, cli::add_exec,
        cli::add_tokenize, cli::add_logits, cli::add_perplexity, cli::add_quantize, cli::add_synth}) {
    add(app);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& e) {
    app.exit(e);  // --help, --version
  } catch (const CLI::ParseError& e) {
    std::fprintf(stderr, "tessera: error: %s (tessera --help tells more)\n", e.what());
    return 2;
  } catch (const cli::Failure& failure) {
    return fail(failure.message);
  } catch (const std::bad_alloc&) {
    return fail("out of memory");
  } catch (const std::exception& e) {
    return fail(e.what());
  }
  return succeed();
}
