// Products of float64 matrices: tiles of 8 × 24 sums. Formula: tritforge/matrix_product.h; tile: matrix/product_tile.h.
#include "matrix/product_kernels.h"
#include "matrix/product_tile.h"

namespace tritforge {
namespace {

using Tile = ProductTile<64, 8, 3>;

}  // namespace

extern const ProductKernel kProductAvx512 = {"f64_product_8x24__avx512", 8, Tile::kColumns, Tile::subtract};

}  // namespace tritforge
