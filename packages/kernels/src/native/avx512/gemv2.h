// The two halves of kGemvAvx512: how rows meet weights (gemv2.cc), and what becomes of rows before and of sums after
// (gemv2_rows.cc).
#pragma once

#include "gemv/gemv_kernels.h"

namespace tritforge {

const GemvMethod& gemv_method__avx512(std::size_t rows, std::size_t steps) noexcept;

}  // namespace tritforge
