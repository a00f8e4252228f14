// The messages and tools of a chat, checked and in the form that chat templates expect.
#pragma once

#include "base/json.h"
#include "protocol/body_reader.h"
#include "protocol/limits.h"

namespace batchwright {

// Reads "messages". Roles are system, developer (given to the template as system), user, assistant and tool. Content is
// a string, or parts of type "text", which are joined by line feeds; null or absent only in an assistant's message that
// has tool_calls. Arguments of tool calls become objects, as templates want them. Names of fields of messages that were
// ignored are appended to `ignored`. Null after an error, which the reader then has.
JsonValue read_messages(BodyReader& body, const ProtocolLimits& limits, std::vector<std::string>& ignored);

// Reads "tools" and "tool_choice" ("auto" and "none" are supported); null where no tools are to be shown.
JsonValue read_tools(BodyReader& body, const ProtocolLimits& limits);

// Reads "chat_template_kwargs": a few names, of plain values.
JsonValue read_template_arguments(BodyReader& body);

}  // namespace batchwright
