// translate_metal OUTPUT INPUT.metal...: turns Metal source into C++ that the emulator's headers make sense of. Run by
// the build. What differs between the languages, as far as kernels here go, is how memory is named, so the rules are
// few and mechanical; T stands for an optional const, a name and template arguments.
//
//   device T*         Pointer<Space::kDevice, T>          and so for constant and threadgroup
//   thread T*         T*                                  a thread's own memory is not checked
//   thread T&         T&                                  and so for constant
//   threadgroup T name[N]      const auto name = threadgroup_array<T, (N)>(index, "name")
//   constant constexpr         constexpr                  in either order
//   #include <...>    nothing
//
// Everything else stays as it is, line for line; #line tells the compiler where it came from. An address space anywhere
// else, or after const, is an error: the rules do not guess.
#include <cctype>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace {

struct Token {
  enum Kind { kName, kSpace, kOther };  // kSpace: blanks, comments and preprocessor lines
  Kind kind;
  std::string text;
  int line;
};

struct BadSource {
  int line;
  std::string what;
};

bool is_name_char(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }
bool is_blank(char c) { return std::isspace(static_cast<unsigned char>(c)); }

std::vector<Token> split(std::string_view text) {
  std::vector<Token> tokens;
  int line = 1;
  for (size_t at = 0; at < text.size();) {
    size_t end = at + 1;
    Token::Kind kind = Token::kOther;
    const bool is_line = text.substr(at, 2) == "//" || text[at] == '#';
    if (is_line) {
      kind = Token::kSpace;
      end = std::min(text.find('\n', at), text.size());
    } else if (is_blank(text[at])) {
      kind = Token::kSpace;
      while (end < text.size() && is_blank(text[end])) ++end;
    } else if (is_name_char(text[at])) {
      kind = Token::kName;
      while (end < text.size() && is_name_char(text[end])) ++end;
    } else if (text.substr(at, 2) == "::") {
      end = at + 2;
    }
    std::string piece(text.substr(at, end - at));
    if (piece.starts_with("#include <")) piece.clear();
    tokens.push_back({kind, piece, line});
    for (const char c : text.substr(at, end - at)) line += c == '\n';
    at = end;
  }
  return tokens;
}

class Translator {
 public:
  explicit Translator(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  std::string run() {
    while (at_ < tokens_.size()) {
      const Token& token = tokens_[at_];
      if (is_address_space(token)) {
        translate_address_space();
      } else {
        out_ += token.text;
        if (token.kind != Token::kSpace) previous_ = token.text;
        ++at_;
      }
    }
    return out_;
  }

 private:
  static bool is_address_space(const Token& token) {
    return token.text == "device" || token.text == "constant" || token.text == "threadgroup" || token.text == "thread";
  }
  [[noreturn]] void fail(const std::string& what) const {
    throw BadSource{tokens_[std::min(at_, tokens_.size() - 1)].line, what};
  }

  // The next token that says something; blanks before it are dropped, which must not be line ends.
  const Token& next() {
    while (at_ < tokens_.size() && tokens_[at_].kind == Token::kSpace) {
      if (tokens_[at_].text.find('\n') != std::string::npos) fail("a type goes on in the next line");
      ++at_;
    }
    if (at_ == tokens_.size()) fail("the text ends inside a type");
    return tokens_[at_];
  }
  bool skip(std::string_view text) {
    if (next().text != text) return false;
    ++at_;
    return true;
  }
  // From an opening bracket to its closing one, both included.
  std::string balanced(char open, char close) {
    std::string text;
    int depth = 0;
    do {
      const std::string& token = next().text;
      depth += token[0] == open;
      depth -= token[0] == close;
      text += token + (token == "," ? " " : "");
      ++at_;
    } while (depth > 0);
    return text;
  }
  std::string type() {
    std::string text = skip("const") ? "const " : "";
    if (next().kind != Token::kName) fail("expected a type after an address space");
    text += tokens_[at_++].text;
    while (next().text == "::") {
      ++at_;
      text += "::" + next().text;
      ++at_;
    }
    if (next().text == "<") text += balanced('<', '>');
    return text;
  }

  void translate_address_space() {
    const std::string space = tokens_[at_].text;
    if (previous_ == "const") fail("write '" + space + "' before const");
    ++at_;
    if (space == "constant" && (previous_ == "constexpr" || next().text == "constexpr")) {
      next();  // the blank after it goes too
      previous_.clear();
      return;
    }
    const std::string element = type();
    if (skip("*")) {
      out_ += space == "thread" ? element + "*" : "Pointer<" + enumerator(space) + ", " + element + ">";
    } else if (skip("&")) {
      if (space != "thread" && space != "constant") fail("references to " + space + " memory are not translated");
      out_ += element + "&";
    } else if (space == "threadgroup" && next().kind == Token::kName) {
      declare_array(element);
    } else {
      fail("expected *, & or a threadgroup array after '" + space + " " + element + "'");
    }
    previous_.clear();
  }

  void declare_array(const std::string& element) {
    const std::string name = tokens_[at_++].text;
    if (next().text != "[") fail("expected the size of threadgroup array " + name);
    const std::string size = balanced('[', ']');
    out_ += "const auto " + name + " = threadgroup_array<" + element + ", (" + size.substr(1, size.size() - 2) + ")>(" +
            std::to_string(n_arrays_++) + ", \"" + name + "\")";
  }

  static std::string enumerator(std::string space) {
    space[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(space[0])));
    return "Space::k" + space;
  }

  std::vector<Token> tokens_;
  size_t at_ = 0;
  std::string out_;
  std::string previous_;  // the token before this one, if it was copied
  int n_arrays_ = 0;
};

std::string base_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::cerr << "usage: translate_metal OUTPUT INPUT.metal...\n";
    return 2;
  }
  std::string out = "// Generated by translate_metal.\n";
  for (int i = 2; i < argc; ++i) {
    std::ifstream in(argv[i]);
    std::stringstream text;
    text << in.rdbuf();
    if (!in) {
      std::cerr << argv[i] << ": cannot be read\n";
      return 1;
    }
    try {
      out += "#line 1 \"" + base_name(argv[i]) + "\"\n" + Translator(split(text.str())).run() + "\n";
    } catch (const BadSource& bad) {
      std::cerr << argv[i] << ":" << bad.line << ": error: " << bad.what << "\n";
      return 1;
    }
  }
  std::ofstream file(argv[1]);
  file << out;
  return file.flush() ? 0 : 1;
}
