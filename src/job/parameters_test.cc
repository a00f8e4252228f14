#include "job/parameters.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace batchwright {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

JobParameters table_of_four() {
  JobParameters parameters;
  parameters.rows = 4;
  parameters.rows_hash = "a";
  parameters.format.kind = RowFileKind::kCsv;
  parameters.format.prompt = "{title}";
  return parameters;
}

TEST(Parameters, EqualOnesHaveNoChanges) { EXPECT_THAT(changes(table_of_four(), table_of_four()), IsEmpty()); }

TEST(Parameters, ChangedRowsAreNamedOnce) {
  JobParameters is = table_of_four();
  is.rows_hash = "b";
  EXPECT_THAT(changes(table_of_four(), is), ElementsAre("the rows are no longer what they were"));
  is.rows = 5;
  EXPECT_THAT(changes(table_of_four(), is), ElementsAre("the number of rows was 4 and is now 5"));
}

// The rows' hash covers what is made of them.
TEST(Parameters, RowsAreNotBlamedForAnotherPrompt) {
  JobParameters is = table_of_four();
  is.rows_hash = "b";
  is.format.prompt = "Classify: {title}";
  EXPECT_THAT(changes(table_of_four(), is), ElementsAre("--prompt was \"{title}\" and is now \"Classify: {title}\""));
}

}  // namespace
}  // namespace batchwright
