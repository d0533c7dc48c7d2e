#include "text/chat_template.h"

#include <gtest/gtest.h>

#include "text/model_output.h"

namespace tessera::text {
namespace {

using nlohmann::json;

const ChatTemplate kLarge{ChatTemplate::Kind::kGemma4, true};   // 31B, 26B, 12B
const ChatTemplate kSmall{ChatTemplate::Kind::kGemma4, false};  // E4B, E2B

Message user(std::string content) { return {.role = Role::kUser, .content = std::move(content)}; }
Message assistant(std::string content) { return {.role = Role::kAssistant, .content = std::move(content)}; }
Message system_message(std::string content) { return {.role = Role::kSystem, .content = std::move(content)}; }
Message calls(std::vector<ToolCall> tool_calls) {
  Message message = assistant("");
  message.tool_calls = std::move(tool_calls);
  return message;
}
Message answer(std::string id, std::string content) {
  Message message{.role = Role::kTool, .content = std::move(content)};
  message.tool_call_id = std::move(id);
  return message;
}

std::string rendered(const ChatTemplate& chat_template, const std::vector<Message>& messages,
                     RenderOptions options = {}) {
  const auto prompt = render(chat_template, messages, options);
  EXPECT_TRUE(prompt) << prompt.error().message;
  return prompt ? *prompt : "";
}

const ToolCall kWeatherCall{"c1", "get_weather", {{"city", "Oslo"}, {"n", 3}}};

TEST(ChatTemplate, UserOnly) {
  EXPECT_EQ(rendered(kLarge, {user("Hi there")}),
            "<bos><|turn>user\nHi there<turn|>\n<|turn>model\n<|channel>thought\n<channel|>");
  EXPECT_EQ(rendered(kSmall, {user("Hi there")}), "<bos><|turn>user\nHi there<turn|>\n<|turn>model\n");
  EXPECT_EQ(rendered(kLarge, {user("Hi there")}, {.add_generation_prompt = false}),
            "<bos><|turn>user\nHi there<turn|>\n");
}

TEST(ChatTemplate, Thinking) {
  EXPECT_EQ(rendered(kLarge, {user("Hi there")}, {.thinking = true}),
            "<bos><|turn>system\n<|think|>\n<turn|>\n<|turn>user\nHi there<turn|>\n<|turn>model\n");
  EXPECT_EQ(rendered(kLarge, {system_message(" Be brief. "), user("Hi")}, {.thinking = true}),
            "<bos><|turn>system\n<|think|>\nBe brief.<turn|>\n<|turn>user\nHi<turn|>\n<|turn>model\n");
}

TEST(ChatTemplate, HistoryIsTrimmedAndLosesItsChannels) {
  EXPECT_EQ(
      rendered(kSmall, {user(" Hi\u00a0\n"), assistant("<|channel>thought\nhm\n<channel|>Hello!\n"), user("More")}),
      "<bos><|turn>user\nHi<turn|>\n<|turn>model\nHello!<turn|>\n<|turn>user\nMore<turn|>\n<|turn>model\n");
}

TEST(ChatTemplate, ReasoningIsKeptAfterTheLastUserMessage) {
  Message thought = assistant("Hello!");
  thought.reasoning = "greet";
  EXPECT_EQ(rendered(kSmall, {user("Hi"), thought}, {.add_generation_prompt = false}),
            "<bos><|turn>user\nHi<turn|>\n<|turn>model\n<|channel>thought\ngreet\n<channel|>Hello!<turn|>\n");
  EXPECT_EQ(rendered(kSmall, {user("Hi"), thought, user("x")}, {.add_generation_prompt = false}),
            "<bos><|turn>user\nHi<turn|>\n<|turn>model\nHello!<turn|>\n<|turn>user\nx<turn|>\n");
}

TEST(ChatTemplate, AssistantMessagesInARowAreOneTurn) {
  EXPECT_EQ(rendered(kSmall, {user("HI"), assistant("YO"), assistant("AND"), user("BYE")}),
            "<bos><|turn>user\nHI<turn|>\n<|turn>model\nYOAND<turn|>\n<|turn>user\nBYE<turn|>\n<|turn>model\n");
}

TEST(ChatTemplate, GenerationContinuesAfterAToolResult) {
  const std::string head = "<bos><|turn>user\nWeather?<turn|>\n<|turn>model\n";
  const std::string call = "<|tool_call>call:get_weather{city:<|\"|>Oslo<|\"|>,n:3}<tool_call|>";
  const std::string response = "<|tool_response>response:get_weather{value:<|\"|>sunny<|\"|>}<tool_response|>";
  const std::vector<Message> asked = {user("Weather?"), calls({kWeatherCall})};
  EXPECT_EQ(rendered(kLarge, asked), head + call + "<|tool_response>");
  auto answered = asked;
  answered.push_back(answer("c1", "sunny"));
  EXPECT_EQ(rendered(kLarge, answered), head + call + response);
  const std::string thinking = rendered(kLarge, answered, {.thinking = true});
  EXPECT_TRUE(thinking.ends_with(response + "<|channel>thought\n"));
  EXPECT_TRUE(ends_in_reasoning(kLarge, thinking));
  answered.push_back(assistant("It is sunny."));
  EXPECT_EQ(rendered(kSmall, answered), head + call + response + "It is sunny.<turn|>\n<|turn>model\n");
}

TEST(ChatTemplate, ToolResultsMayBeObjects) {
  Message object = answer("c1", "");
  object.response = {{"sky", "blue"}, {"Temp", 21.5}};
  EXPECT_TRUE(rendered(kSmall, {user("?"), calls({kWeatherCall}), object})
                  .ends_with("<|tool_response>response:get_weather{sky:<|\"|>blue<|\"|>,Temp:21.5}<tool_response|>"));
  // A string that looks like JSON stays a string.
  EXPECT_TRUE(rendered(kSmall, {user("?"), calls({kWeatherCall}), answer("c1", "{\"a\":1}")})
                  .ends_with("{value:<|\"|>{\"a\":1}<|\"|>}<tool_response|>"));
}

TEST(ChatTemplate, ToolDeclarations) {
  const std::vector<json> tools = {json::parse(R"({
    "type": "function",
    "function": {
      "name": "get_weather",
      "description": "Looks outside",
      "parameters": {
        "type": "object",
        "properties": {
          "unit": {"type": "string", "enum": ["c", "f"], "nullable": true},
          "city": {"type": "string", "description": "Where"},
          "days": {"type": "array", "items": {"type": "integer", "minimum": 1}},
          "more": {"type": "object", "properties": {"x": {"type": ["number", "null"]}}, "required": ["x"]}
        },
        "required": ["city", "unit"]
      }
    }
  })")};
  EXPECT_EQ(rendered(kSmall, {user("Hi")}, {.tools = tools}),
            "<bos><|turn>system\n<|tool>declaration:get_weather{description:<|\"|>Looks outside<|\"|>,parameters:{"
            "properties:{city:{description:<|\"|>Where<|\"|>,type:<|\"|>STRING<|\"|>},"
            "days:{items:{minimum:1,type:<|\"|>INTEGER<|\"|>},type:<|\"|>ARRAY<|\"|>},"
            "more:{properties:{x:{type:<|\"|>NUMBER<|\"|>}},required:[<|\"|>x<|\"|>],type:<|\"|>OBJECT<|\"|>},"
            "unit:{enum:[<|\"|>c<|\"|>,<|\"|>f<|\"|>],nullable:true,type:<|\"|>STRING<|\"|>}},"
            "required:[<|\"|>city<|\"|>,<|\"|>unit<|\"|>],type:<|\"|>OBJECT<|\"|>}}<tool|><turn|>\n"
            "<|turn>user\nHi<turn|>\n<|turn>model\n");
}

TEST(ChatTemplate, RefusesWhatHasNoForm) {
  EXPECT_FALSE(render(kSmall, std::vector{user("x"), answer("c1", "out of nowhere")}));
  EXPECT_FALSE(render(kSmall, std::vector{user("x"), calls({{"c1", "f", json::array()}})}));
  const std::vector<json> nameless = {json{{"description", "?"}}};
  EXPECT_FALSE(render(kSmall, std::vector{user("x")}, {.tools = nameless}));
  json deep = {{"type", "string"}};
  for (int i = 0; i < 100; ++i) deep = {{"type", "object"}, {"properties", {{"x", deep}}}};
  const std::vector<json> nested = {json{{"name", "f"}, {"parameters", deep}}};
  EXPECT_FALSE(render(kSmall, std::vector{user("x")}, {.tools = nested}));
}

TEST(ChatTemplate, RecognisesItsFamily) {
  const std::string turns = "{{ '<|turn>' + role + '\\n' }}{{ '<turn|>\\n' }}{%- if add_generation_prompt -%}";
  const auto small = ChatTemplate::recognise(turns + "{{ '<|turn>model\\n' }}{%- endif -%}");
  ASSERT_TRUE(small);
  EXPECT_EQ(small->kind, ChatTemplate::Kind::kGemma4);
  EXPECT_FALSE(small->empty_thought_channel);
  const auto large = ChatTemplate::recognise(turns + "{{ '<|channel>thought\\n<channel|>' }}{%- endif -%}");
  ASSERT_TRUE(large);
  EXPECT_TRUE(large->empty_thought_channel);
  // Elsewhere in the template it says nothing about the generation prompt.
  EXPECT_FALSE(ChatTemplate::recognise("'<|channel>thought\\n<channel|>'" + turns)->empty_thought_channel);
  const auto other = ChatTemplate::recognise("{% for m in messages %}<|im_start|>{{ m.role }}{% endfor %}");
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, ErrorCode::kNotImplemented);
  EXPECT_NE(other.error().message.find("Gemma 4"), std::string::npos);
}

TEST(ChatTemplate, NoTemplateIsPlainText) {
  const auto plain = ChatTemplate::recognise("");
  ASSERT_TRUE(plain);
  EXPECT_EQ(rendered(*plain, {user("Once upon"), user("a time")}), "Once upon\na time");
  EXPECT_FALSE(render(*plain, std::vector{user("x")}, {.thinking = true}));
}

TEST(ChatTemplate, Roles) {
  EXPECT_EQ(*parse_role("developer"), Role::kSystem);
  EXPECT_EQ(*parse_role("model"), Role::kAssistant);
  EXPECT_FALSE(parse_role("narrator"));
}

}  // namespace
}  // namespace tessera::text
