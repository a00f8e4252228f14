#pragma once

#include "batchwright/status.h"

#define BATCHWRIGHT_CONCAT_INNER(a, b) a##b
#define BATCHWRIGHT_CONCAT(a, b) BATCHWRIGHT_CONCAT_INNER(a, b)

// Returns the status from the enclosing function unless it is ok.
#define BATCHWRIGHT_RETURN_IF_ERROR(expression)                                                \
  do {                                                                                         \
    if (::batchwright::Status batchwright_status_ = (expression); !batchwright_status_.ok()) { \
      return batchwright_status_;                                                              \
    }                                                                                          \
  } while (false)

// BATCHWRIGHT_ASSIGN_OR_RETURN(auto file, open(path)): the value, or return with the status.
#define BATCHWRIGHT_ASSIGN_OR_RETURN(declaration, expression) \
  BATCHWRIGHT_ASSIGN_OR_RETURN_INNER(BATCHWRIGHT_CONCAT(result_, __LINE__), declaration, expression)
#define BATCHWRIGHT_ASSIGN_OR_RETURN_INNER(result, declaration, expression) \
  auto result = (expression);                                               \
  if (!result.ok()) return result.status();                                 \
  declaration = std::move(result).value()
