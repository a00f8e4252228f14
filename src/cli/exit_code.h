#pragma once

#include "batchwright/status.h"

namespace batchwright {

// The numbers of sysexits.h where it has one.
enum ExitCode : int {
  kExitOk = 0,
  kExitError = 1,
  kExitUsage = 2,
  kExitRowsFailed = 3,
  kExitBadInput = 65,
  kExitNoFile = 66,
  kExitIo = 74,
  kExitInterrupted = 75,
  kExitKilled = 130,
};

inline int exit_code(const Status& status) {
  switch (status.code()) {
    case StatusCode::kOk:
      return kExitOk;
    case StatusCode::kInvalidArgument:
      return kExitUsage;
    case StatusCode::kInvalidData:
    case StatusCode::kUnsupported:
      return kExitBadInput;
    case StatusCode::kNotFound:
      return kExitNoFile;
    case StatusCode::kIoError:
      return kExitIo;
    case StatusCode::kInterrupted:
      return kExitInterrupted;
    case StatusCode::kResourceExhausted:
    case StatusCode::kInternal:
      return kExitError;
  }
  return kExitError;
}

}  // namespace batchwright
