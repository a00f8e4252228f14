#pragma once

#include <span>

#include "batchwright/options.h"
#include "batchwright/status.h"
#include "kernels/gemm/gemm.h"
#include "model/model_shape.h"

namespace batchwright {

// Runs every kernel that the model is going to use on a small known input and compares its bits with the scalar
// reference's: a processor, a virtual machine or a build that computes otherwise is found before it writes a row. Takes
// about a millisecond. kInternal, naming the kernel, where a bit differs.
Status check_kernels(const ModelShape& shape, std::span<const ElementType> weight_types, Isa isa);

}  // namespace batchwright
