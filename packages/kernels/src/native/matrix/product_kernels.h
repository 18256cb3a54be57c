// What an instruction set provides for products of float64 matrices. Blocks of A and B come as panels, one after the other:
//
//   A: tile_rows rows        a[0,p] a[1,p] …  a[0,p+1] …
//   B: tile_columns columns  b[p,0] b[p,1] …  b[p+1,0] …
//
// Panels of B are aligned to 64 bytes. Rows and columns that are missing in the last panel are zeros.
#pragma once

#include <cstddef>

#include "tritforge/cpu.h"

namespace tritforge {

inline constexpr std::size_t kMaxProductTileRows = 8;
inline constexpr std::size_t kMaxProductTileColumns = 24;

struct ProductKernel {
  const char* name;  // such as "f64_product_8x24__avx512"
  std::size_t tile_rows, tile_columns;
  // C [rows, columns] −= the product of two blocks of panels; `depth` is at most kProductDepth.
  void (*subtract)(const double* panels_a, const double* panels_b, std::size_t rows, std::size_t columns,
                   std::size_t depth, double* c, std::size_t c_stride) noexcept;
};

extern const ProductKernel kProductScalar;
#ifdef TRITFORGE_BUILT_AVX2
extern const ProductKernel kProductAvx2;
#endif
#ifdef TRITFORGE_BUILT_AVX512
extern const ProductKernel kProductAvx512;
#endif
#ifdef TRITFORGE_BUILT_NEON
extern const ProductKernel kProductNeon;
#endif

}  // namespace tritforge
