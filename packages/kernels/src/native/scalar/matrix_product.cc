// Products of float64 matrices in plain C++: the reference, and a kernel for processors without one of their own, whose compiler
// makes of pairs of float64 what it can. Formula: tritforge/matrix_product.h; tile: matrix/product_tile.h.
#include "tritforge/matrix_product.h"

#include "matrix/product_kernels.h"
#include "matrix/product_tile.h"

namespace tritforge {
namespace {

using Tile = ProductTile<16, 4, 2>;

}  // namespace

extern const ProductKernel kProductScalar = {"f64_product_4x4__scalar", 4, Tile::kColumns, Tile::subtract};

void subtract_product__reference(std::size_t rows, std::size_t columns, std::size_t depth, const StridedMatrix& a,
                                 const StridedMatrix& b, double* c, std::size_t c_stride) noexcept {
  for (std::size_t i = 0; i < rows; ++i) {
    for (std::size_t j = 0; j < columns; ++j) {
      for (std::size_t first = 0; first < depth; first += kProductDepth) {
        const std::size_t end = depth - first < kProductDepth ? depth : first + kProductDepth;
        double sum = 0;
        for (std::size_t p = first; p < end; ++p) {
          sum += a.data[i * a.row_stride + p * a.column_stride] * b.data[p * b.row_stride + j * b.column_stride];
        }
        c[i * c_stride + j] -= sum;
      }
    }
  }
}

}  // namespace tritforge
