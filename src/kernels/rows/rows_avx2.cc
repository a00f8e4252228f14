#include "kernels/rows/rows_body.h"

BATCHWRIGHT_DEFINE_ROWS(avx2, Avx2)
