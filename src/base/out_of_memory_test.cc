#include "base/out_of_memory.h"

#include <gtest/gtest.h>

#include <stdexcept>

namespace batchwright {
namespace {

TEST(OutOfMemoryTest, AStatusIsMadeWithoutTakingAny) {
  const Status status = out_of_memory();
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
  // As much as an empty one holds: nothing of it is elsewhere.
  EXPECT_EQ(status.message().capacity(), std::string().capacity());
}

TEST(OutOfMemoryTest, WhatAFunctionReturnsOrThrowsBecomesAStatus) {
  EXPECT_TRUE(catch_out_of_memory([] { return Status(); }).ok());
  EXPECT_EQ(catch_out_of_memory([] { return io_error("a disk"); }).message(), "a disk");
  EXPECT_EQ(catch_out_of_memory([]() -> Status { throw std::bad_alloc(); }).code(), StatusCode::kResourceExhausted);
  const auto no_thread = []() -> Status { throw std::system_error(EAGAIN, std::generic_category()); };
  EXPECT_EQ(catch_out_of_memory(no_thread).code(), StatusCode::kResourceExhausted);
}

TEST(OutOfMemoryTest, OtherExceptionsPass) {
  const auto defect = [] { (void)catch_out_of_memory([]() -> Status { throw std::logic_error("a defect"); }); };
  EXPECT_THROW(defect(), std::logic_error);
}

}  // namespace
}  // namespace batchwright
