// The Gemma 4 half of text/chat_template.h.
#pragma once

#include <span>
#include <string>

#include "text/chat_template.h"

namespace tessera::text {

Result<std::string> render_gemma4(const ChatTemplate& chat_template, std::span<const Message> messages,
                                  const RenderOptions& options);

}  // namespace tessera::text
