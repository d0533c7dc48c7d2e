// When to stop on text: strings that end the answer, found even where they straddle tokens.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tessera::generate {

class StopStrings {
 public:
  // Empty strings are ignored.
  explicit StopStrings(std::vector<std::string> stops);

  // Takes the next piece of text and returns what may be shown: all of it but an end that might become a stop string.
  // Once a stop string is complete, stopped() is true, the text before it has been returned, and nothing more comes
  // out. Of several that one piece completes, the one that begins first counts.
  std::string push(std::string_view text);
  // The end held back, if generation ended otherwise.
  std::string flush();
  bool stopped() const { return stopped_; }

 private:
  std::vector<std::string> stops_;
  std::string pending_;  // the end of the text that is the beginning of some stop string
  bool stopped_ = false;
};

}  // namespace tessera::generate
