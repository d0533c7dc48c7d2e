#include "generate/stop.h"

#include <algorithm>
#include <utility>

namespace tessera::generate {

StopStrings::StopStrings(std::vector<std::string> stops) : stops_(std::move(stops)) {
  std::erase_if(stops_, [](const std::string& stop) { return stop.empty(); });
}

std::string StopStrings::push(std::string_view text) {
  if (stopped_) return {};
  pending_ += text;
  size_t first = std::string::npos;
  for (const std::string& stop : stops_) first = std::min(first, pending_.find(stop));
  stopped_ = first != std::string::npos;
  size_t shown = stopped_ ? first : pending_.size();
  if (!stopped_) {
    for (const std::string& stop : stops_) {  // the longest end of the text that begins a stop string
      for (size_t n = std::min(stop.size() - 1, pending_.size()); n > pending_.size() - shown; --n) {
        if (pending_.ends_with(std::string_view(stop).substr(0, n))) shown = pending_.size() - n;
      }
    }
  }
  std::string out = pending_.substr(0, shown);
  pending_.erase(0, stopped_ ? pending_.size() : shown);
  return out;
}

std::string StopStrings::flush() { return std::exchange(pending_, {}); }

}  // namespace tessera::generate
