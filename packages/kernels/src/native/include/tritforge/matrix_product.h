// C −= A·B in float64, with the same bits on every instruction set:
//
//   C[i, j] = (…(C[i, j] − S_0) − S_1 …)      S_q = ((0 + A[i, p]·B[p, j]) + A[i, p + 1]·B[p + 1, j]) + …
//
// where S_q runs over kProductDepth values of p, from q·kProductDepth on, and every product and every sum is rounded. An element
// depends on its row of A and its column of B alone, wherever they stand.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tritforge/cpu.h"

namespace tritforge {

inline constexpr std::size_t kProductDepth = 256;

// Element [i, j] is data[i · row_stride + j · column_stride].
struct StridedMatrix {
  const double* data;
  std::size_t row_stride, column_stride;
};

// Bytes of scratch, aligned to 64 bytes, that `subtract_product` needs for these sizes on any instruction set.
std::size_t subtract_product_scratch_bytes(std::size_t rows, std::size_t columns, std::size_t depth) noexcept;

// Subtracts A [rows, depth] times B [depth, columns] from C [rows, columns], element [i, j] of which is c[i · c_stride + j]. C must
// not overlap what is read of A and B. On an instruction set without a kernel the scalar one runs.
void subtract_product(Isa isa, std::size_t rows, std::size_t columns, std::size_t depth, const StridedMatrix& a,
                      const StridedMatrix& b, double* c, std::size_t c_stride, std::uint8_t* scratch) noexcept;

// The formula above, to be checked by reading.
void subtract_product__reference(std::size_t rows, std::size_t columns, std::size_t depth, const StridedMatrix& a,
                                 const StridedMatrix& b, double* c, std::size_t c_stride) noexcept;

}  // namespace tritforge
