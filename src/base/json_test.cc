#include "base/json.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "base/json_writer.h"
#include "base/utf8.h"

namespace batchwright {
namespace {

std::string compact(std::string_view text) {
  const auto parsed = parse_json(text);
  return parsed.ok() ? to_json(*parsed) : "error: " + parsed.status().message();
}

std::string repeated(std::string_view part, size_t times) {
  std::string out;
  for (size_t i = 0; i < times; ++i) out += part;
  return out;
}

TEST(Json, ReadsEveryKindOfValue) {
  const auto parsed =
      parse_json(R"( {"a":[1,-2,18446744073709551615,0.5,-0.0,1e3],"b":{"":null},"c":"é\u00e9\n\ud83d\ude00",
                                      "d":true,"e":[ ],"f":{}} )");
  ASSERT_TRUE(parsed.ok()) << parsed.status().message();
  const JsonValue::Array& a = parsed->find("a")->as_array();
  EXPECT_EQ(a[0].to_int64(), 1);
  EXPECT_EQ(a[1].as_int64(), -2);
  EXPECT_TRUE(a[2].is_uint64());
  EXPECT_EQ(a[2].as_uint64(), UINT64_MAX);
  EXPECT_FALSE(a[2].to_int64().has_value());
  EXPECT_TRUE(a[3].is_double());
  EXPECT_TRUE(a[4].is_double());
  EXPECT_EQ(a[5].as_double(), 1000.0);
  EXPECT_TRUE(parsed->find("b")->find("")->is_null());
  EXPECT_EQ(parsed->find("c")->as_string(), "éé\n😀");
  EXPECT_TRUE(parsed->find("d")->as_bool());
  EXPECT_EQ(parsed->find("nothing"), nullptr);
  EXPECT_EQ(to_json(*parsed),
            R"({"a":[1,-2,18446744073709551615,0.5,-0.0,1000.0],"b":{"":null},"c":"éé\n😀","d":true,"e":[],"f":{}})");
}

TEST(Json, BareValuesAreDocuments) {
  EXPECT_EQ(compact(" 7 "), "7");
  EXPECT_EQ(compact("\"x\""), "\"x\"");
  EXPECT_EQ(compact("null"), "null");
  EXPECT_EQ(compact("\tfalse\r\n"), "false");
}

TEST(Json, NumbersAtTheEdges) {
  EXPECT_EQ(compact("9223372036854775807"), "9223372036854775807");
  EXPECT_EQ(compact("-9223372036854775808"), "-9223372036854775808");
  EXPECT_TRUE(parse_json("-9223372036854775809")->is_double());
  const auto two_to_70 = parse_json("1180591620717411303424");
  ASSERT_TRUE(two_to_70.ok());
  EXPECT_TRUE(two_to_70->is_double());
  EXPECT_EQ(two_to_70->as_double(), 1180591620717411303424.0);
  EXPECT_STREQ(two_to_70->type_name(), "number");
  EXPECT_EQ(compact("1e-400"), "0.0");
  EXPECT_EQ(compact("-0.0001e-330"), "-0.0");
  EXPECT_EQ(compact(std::string("0.") + repeated("0", 400) + "1"), "0.0");
  EXPECT_EQ(compact("0e999999999999"), "0.0");
  EXPECT_EQ(compact(std::string("1") + repeated("0", 400) + "e-800"), "0.0");
  EXPECT_EQ(compact("4.9e-324"), "5e-324");
  for (const std::string text :
       {"1e400", "-1e400", "0.1e400", "-0.01e400", "1e999999999999999999999", "NaN", "Infinity", "-Infinity", "nan"}) {
    EXPECT_EQ(parse_json(text).status().code(), StatusCode::kInvalidData) << text;
  }
  EXPECT_FALSE(parse_json(std::string("1") + repeated("0", 400)).ok());
}

TEST(Json, RefusesBadSyntax) {
  for (const std::string text : {"",
                                 " ",
                                 "{",
                                 "}",
                                 "[",
                                 "]",
                                 "[1",
                                 "1]",
                                 "[1,]",
                                 "[,1]",
                                 "[1 2]",
                                 "{\"a\"}",
                                 "{\"a\":}",
                                 "{\"a\":1,}",
                                 "{\"a\" 1}",
                                 "{\"a\":1 \"b\":2}",
                                 "{a:1}",
                                 "{1:1}",
                                 "[1}",
                                 "{\"a\":1]",
                                 "01",
                                 "-",
                                 "+1",
                                 ".5",
                                 "1.",
                                 "1.e3",
                                 "1e",
                                 "1e+",
                                 "0x10",
                                 "tru",
                                 "truee",
                                 "nul",
                                 "nulll",
                                 "nul l",
                                 "true\"a\"",
                                 "'a'",
                                 "\"a",
                                 "a\"",
                                 "\"\\x\"",
                                 "\"\\u12\"",
                                 "\"\\u12g4\"",
                                 "\"a\nb\"",
                                 "\"\t\"",
                                 "1,2",
                                 "1 2",
                                 "{}{}",
                                 "[] []",
                                 "[],[]",
                                 "1]1",
                                 "][",
                                 "][]",
                                 "1],[1",
                                 "{}]",
                                 "[]]",
                                 "/**/1",
                                 "[1,,2]",
                                 "[[]",
                                 "{\"a\":[}",
                                 "\xEF\xBB\xBF{}",
                                 "\"\\ud800\"",
                                 "\"\\udc00\"",
                                 "\"\\ud800\\ud800\"",
                                 "\"\\ud83dx\"",
                                 "{\"\\udc00\":1}",
                                 "\"\xff\"",
                                 "\"\xed\xa0\x80\"",
                                 "\"\xc0\x80\"",
                                 "[\"\", \"\xe2\x82\"]"}) {
    const auto parsed = parse_json(text);
    EXPECT_FALSE(parsed.ok()) << text << " became " << (parsed.ok() ? to_json(*parsed) : "");
    EXPECT_EQ(parsed.status().code(), StatusCode::kInvalidData);
  }
  EXPECT_FALSE(parse_json(std::string_view("1\0", 2)).ok());
  EXPECT_FALSE(parse_json(std::string_view("[\0]", 3)).ok());
  EXPECT_FALSE(parse_json(std::string_view("\"\0\"", 3)).ok());
  EXPECT_EQ(parse_json("\"a\\u0000b\"")->as_string(), std::string("a\0b", 3));
}

TEST(Json, SaysWhereAndWhat) {
  EXPECT_NE(parse_json("[1, x]").status().message().find("byte 4"), std::string::npos);
  EXPECT_NE(parse_json("[\"a\xff\"]").status().message().find("UTF-8 at byte 3"), std::string::npos);
  EXPECT_NE(parse_json("{\"custom_id\":1,\"custom_id\":2}").status().message().find("\"custom_id\" twice"),
            std::string::npos);
  EXPECT_NE(parse_json("{\"a\":1} x").status().message().find("byte 8"), std::string::npos);
}

TEST(Json, DuplicateKeysInLargeObjects) {
  std::string text = "{";
  for (int i = 0; i < 20000; ++i) text += "\"k" + std::to_string(i) + "\":1,";
  EXPECT_TRUE(parse_json(text + "\"last\":1}").ok());
  EXPECT_FALSE(parse_json(text + "\"k77\":1}").ok());
  EXPECT_FALSE(parse_json(R"({"a":1,"\u0061":2})").ok());
}

TEST(Json, DepthIsLimitedEverywhere) {
  const JsonLimits three{.max_depth = 3};
  EXPECT_TRUE(parse_json("[[[1]]]", three).ok());
  EXPECT_TRUE(parse_json("{\"a\":[{}]}", three).ok());
  const auto four = parse_json(R"({"seen":1,"unseen":{"a":[{"b":[]}]}})", three);
  ASSERT_FALSE(four.ok());
  EXPECT_NE(four.status().message().find("limit of 3 levels"), std::string::npos) << four.status().message();
  EXPECT_TRUE(parse_json("1", JsonLimits{.max_depth = 0}).ok());
  EXPECT_FALSE(parse_json("[]", JsonLimits{.max_depth = 0}).ok());
  EXPECT_TRUE(parse_json(repeated("[", 64) + repeated("]", 64)).ok());
  EXPECT_FALSE(parse_json(repeated("[", 65) + repeated("]", 65)).ok());
}

TEST(Json, AMillionLevelsAreRefusedQuickly) {
  constexpr size_t kLevels = 1000000;
  EXPECT_FALSE(parse_json(repeated("[", kLevels) + repeated("]", kLevels)).ok());
  EXPECT_FALSE(parse_json(repeated("[", kLevels)).ok());
  EXPECT_FALSE(
      parse_json(std::string("{\"a\":1,\"b\":") + repeated("{\"a\":", kLevels) + "1" + repeated("}", kLevels) + "}")
          .ok());
  EXPECT_FALSE(parse_json(repeated("[", kLevels), JsonLimits{.max_depth = 1 << 30}).ok());
  EXPECT_TRUE(parse_json(repeated("[", 256) + repeated("]", 256), JsonLimits{.max_depth = 1 << 30}).ok());
}

TEST(Json, WhatIsWrittenReadsBackEqual) {
  JsonValue object{JsonValue::Object{}};
  object.set("text", "a\"\\\b\f\n\r\t\x01\x7f é 😀 \u2028");
  object.set("list", JsonValue::Array{JsonValue(), true, -5, 0.1, UINT64_MAX, 1e300});
  object.set("text2", std::string("\0", 1));
  object.set("list", JsonValue::Array{1, 2});
  EXPECT_EQ(object.as_object().size(), 3U);
  for (const auto& format : {JsonFormat{}, JsonFormat::python(), JsonFormat::python(3)}) {
    const auto again = parse_json(to_json(object, format));
    ASSERT_TRUE(again.ok()) << again.status().message();
    EXPECT_EQ(*again, object);
  }
}

TEST(JsonWriter, WritesPieces) {
  std::string out;
  JsonWriter w(out);
  w.begin_object();
  w.member("a", 1);
  w.key("b");
  w.begin_array();
  w.value(true);
  w.value("x\xff\xe2\x82");
  w.value(0.1F);
  w.value(std::nan(""));
  w.value(INFINITY);
  w.null();
  w.begin_object();
  w.end_object();
  w.raw("[1, 2]");
  w.end_array();
  w.member("c", std::string("q\"\x1f"));
  w.member("d", size_t{18446744073709551615U});
  w.member("e", JsonValue(JsonValue::Array{"y"}));
  w.end_object();
  EXPECT_EQ(out, R"({"a":1,"b":[true,"x)"
                 "\uFFFD\uFFFD"
                 R"(",0.1,null,null,null,{},[1, 2]],"c":"q\"\u001f","d":18446744073709551615,"e":["y"]})");
}

// The expected texts are what Python's repr says.
TEST(JsonWriter, ShortestNumbersLikePython) {
  EXPECT_EQ(format_shortest(1.0), "1.0");
  EXPECT_EQ(format_shortest(-0.0), "-0.0");
  EXPECT_EQ(format_shortest(0.0001), "0.0001");
  EXPECT_EQ(format_shortest(0.00001), "1e-05");
  EXPECT_EQ(format_shortest(123456789.125), "123456789.125");
  EXPECT_EQ(format_shortest(1e15), "1000000000000000.0");
  EXPECT_EQ(format_shortest(1e16), "1e+16");
  EXPECT_EQ(format_shortest(1.5e300), "1.5e+300");
  EXPECT_EQ(format_shortest(5e-324), "5e-324");
  EXPECT_EQ(format_shortest(-1.0 / 3.0), "-0.3333333333333333");
  EXPECT_EQ(format_shortest(0.1F), "0.1");
  EXPECT_EQ(format_shortest(-std::numeric_limits<double>::infinity()), "-inf");
}

TEST(JsonWriter, PythonLayouts) {
  const auto value = parse_json(R"({"b":[1,{"x":[]}],"a":{}})");
  EXPECT_EQ(to_json(*value, JsonFormat::python()), R"({"b": [1, {"x": []}], "a": {}})");
  EXPECT_EQ(to_json(*value, JsonFormat::python(2)),
            "{\n  \"b\": [\n    1,\n    {\n      \"x\": []\n    }\n  ],\n  \"a\": {}\n}");
  EXPECT_EQ(to_json(*value, JsonFormat::python(0)), "{\n\"b\": [\n1,\n{\n\"x\": []\n}\n],\n\"a\": {}\n}");
}

}  // namespace
}  // namespace batchwright
