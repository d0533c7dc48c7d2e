#include "text/model_output.h"

#include <gtest/gtest.h>

namespace tessera::text {
namespace {

const ChatTemplate kGemma{ChatTemplate::Kind::kGemma4, false};

ModelOutput parsed(std::string_view text, bool starts_in_reasoning = false) {
  auto output = parse_output(kGemma, text, starts_in_reasoning);
  EXPECT_TRUE(output) << output.error().message;
  return output ? *output : ModelOutput{};
}

TEST(ModelOutput, SplitsReasoningFromContent) {
  const auto output = parsed("<|channel>thought\nhm, well\n<channel|>Hello!\n");
  EXPECT_EQ(output.reasoning, "hm, well");
  EXPECT_EQ(output.content, "Hello!");
  EXPECT_EQ(parsed("Hello <b>you</b>").content, "Hello <b>you</b>");
}

TEST(ModelOutput, StrayChannelsVanish) {
  EXPECT_EQ(parsed("<|channel>thought\n<channel|>Hello<channel|>").content, "Hello");
  EXPECT_EQ(parsed("<|channel>thought\n<channel|>Hello<channel|>").reasoning, "");
  EXPECT_EQ(parsed("<|channel>thought\nnever closed").reasoning, "never closed");
}

TEST(ModelOutput, MayStartInReasoning) {
  const auto output = parsed("so it is sunny\n<channel|>Sunny.", true);
  EXPECT_EQ(output.reasoning, "so it is sunny");
  EXPECT_EQ(output.content, "Sunny.");
}

TEST(ModelOutput, ToolCalls) {
  const auto output = parsed(
      "<|channel>thought\nlook\n<channel|><|tool_call>call:get_weather{city:<|\"|>Oslo<tool_call|><|\"|>,n:3}<tool_"
      "call|>"
      "<|tool_call>call:now{}<tool_call|><|tool_response>");
  EXPECT_EQ(output.reasoning, "look");
  EXPECT_EQ(output.content, "");
  ASSERT_EQ(output.tool_calls.size(), 2u);
  EXPECT_EQ(output.tool_calls[0].name, "get_weather");
  EXPECT_EQ(output.tool_calls[0].arguments, (nlohmann::json{{"city", "Oslo<tool_call|>"}, {"n", 3}}));
  EXPECT_EQ(output.tool_calls[1].name, "now");
  EXPECT_EQ(output.tool_calls[1].arguments, nlohmann::json::object());
}

TEST(ModelOutput, DamagedToolCallsAreErrors) {
  for (const char* text :
       {"<|tool_call>", "<|tool_call>f{}", "<|tool_call>call:{}", "<|tool_call>call:f{a:", "<|tool_call>call:f"}) {
    EXPECT_FALSE(parse_output(kGemma, text)) << text;
  }
}

TEST(ModelOutput, ReadsBackWhatTheTemplateWrites) {
  Message message{.role = Role::kAssistant};
  message.reasoning = "think";
  message.tool_calls = {{"", "f", {{"list", {1, "two", nullptr}}, {"deep", {{"x", true}}}}}};
  const auto prompt = render(kGemma, std::vector{message});
  ASSERT_TRUE(prompt);
  const auto output = parsed(std::string_view(*prompt).substr(prompt->find("model\n") + 6));
  EXPECT_EQ(output.reasoning, message.reasoning);
  ASSERT_EQ(output.tool_calls.size(), 1u);
  EXPECT_EQ(output.tool_calls[0].arguments, message.tool_calls[0].arguments);
}

TEST(ModelOutput, WithoutATemplateEverythingIsContent) {
  EXPECT_EQ(parse_output(ChatTemplate{}, "<|channel>thought\nx")->content, "<|channel>thought\nx");
}

}  // namespace
}  // namespace tessera::text
