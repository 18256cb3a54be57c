// Products of float64 matrices: tiles of 6 × 8 sums. Formula: tritforge/matrix_product.h; tile: matrix/product_tile.h.
#include "matrix/product_kernels.h"
#include "matrix/product_tile.h"

namespace tritforge {
namespace {

using Tile = ProductTile<32, 6, 2>;

}  // namespace

extern const ProductKernel kProductAvx2 = {"f64_product_6x8__avx2", 6, Tile::kColumns, Tile::subtract};

}  // namespace tritforge
