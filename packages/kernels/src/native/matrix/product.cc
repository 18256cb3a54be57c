// Cuts products into blocks whose panels stay in the caches: 96 rows of A are 192 KB, 240 columns of B 480 KB.
#include "tritforge/matrix_product.h"

#include <cstring>

#include "matrix/product_kernels.h"

namespace tritforge {
namespace {

// Multiples of the rows and columns of every tile.
constexpr std::size_t kBlockRows = 96;
constexpr std::size_t kBlockColumns = 240;
constexpr std::size_t kAlignment = 64;

std::size_t smaller(std::size_t a, std::size_t b) { return a < b ? a : b; }

std::size_t panel_bytes(std::size_t lines, std::size_t block_lines, std::size_t tile_lines, std::size_t depth) {
  const std::size_t padded = smaller(lines, block_lines) + tile_lines;
  const std::size_t bytes = padded * smaller(depth, kProductDepth) * sizeof(double);
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

const ProductKernel& product_kernel(Isa isa) {
  switch (isa) {
#ifdef TRITFORGE_BUILT_AVX2
    case Isa::avx2:
    case Isa::avxvnni: return kProductAvx2;
#endif
#ifdef TRITFORGE_BUILT_AVX512
    case Isa::avx512: return kProductAvx512;
#endif
#ifdef TRITFORGE_BUILT_NEON
    case Isa::neon:
    case Isa::neon_i8mm: return kProductNeon;
#endif
    default: return kProductScalar;
  }
}

// Copies lines, `line_stride` apart, into panels of `width` lines.
void pack(const double* source, std::size_t line_stride, std::size_t depth_stride, std::size_t lines, std::size_t depth,
          std::size_t width, double* panels) {
  for (std::size_t first = 0; first < lines; first += width, panels += width * depth) {
    const std::size_t present = smaller(width, lines - first);
    const double* const from = source + first * line_stride;
    if (line_stride == 1 && present == width) {
      for (std::size_t p = 0; p < depth; ++p) std::memcpy(panels + p * width, from + p * depth_stride, width * sizeof(double));
      continue;
    }
    for (std::size_t p = 0; p < depth; ++p) {
      double* const to = panels + p * width;
      for (std::size_t lane = 0; lane < present; ++lane) to[lane] = from[lane * line_stride + p * depth_stride];
      for (std::size_t lane = present; lane < width; ++lane) to[lane] = 0;
    }
  }
}

}  // namespace

std::size_t subtract_product_scratch_bytes(std::size_t rows, std::size_t columns, std::size_t depth) noexcept {
  return panel_bytes(rows, kBlockRows, kMaxProductTileRows, depth) +
         panel_bytes(columns, kBlockColumns, kMaxProductTileColumns, depth);
}

void subtract_product(Isa isa, std::size_t rows, std::size_t columns, std::size_t depth, const StridedMatrix& a,
                      const StridedMatrix& b, double* c, std::size_t c_stride, std::uint8_t* scratch) noexcept {
  const ProductKernel& kernel = product_kernel(isa);
  auto* const panels_a = reinterpret_cast<double*>(scratch);
  auto* const panels_b = reinterpret_cast<double*>(scratch + panel_bytes(rows, kBlockRows, kMaxProductTileRows, depth));
  for (std::size_t p = 0; p < depth; p += kProductDepth) {
    const std::size_t deep = smaller(kProductDepth, depth - p);
    for (std::size_t j = 0; j < columns; j += kBlockColumns) {
      const std::size_t wide = smaller(kBlockColumns, columns - j);
      pack(b.data + p * b.row_stride + j * b.column_stride, b.column_stride, b.row_stride, wide, deep,
           kernel.tile_columns, panels_b);
      for (std::size_t i = 0; i < rows; i += kBlockRows) {
        const std::size_t high = smaller(kBlockRows, rows - i);
        pack(a.data + i * a.row_stride + p * a.column_stride, a.row_stride, a.column_stride, high, deep,
             kernel.tile_rows, panels_a);
        kernel.subtract(panels_a, panels_b, high, wide, deep, c + i * c_stride + j, c_stride);
      }
    }
  }
}

}  // namespace tritforge
