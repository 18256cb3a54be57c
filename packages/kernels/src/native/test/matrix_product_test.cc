// Compares products on every instruction set with the formula, bit by bit, in buffers without a spare byte; prints the first difference
// and exits with 1.
#include "tritforge/matrix_product.h"

#include <cstdio>
#include <cstring>
#include <memory>
#include <utility>

#include "check.h"

namespace {

using namespace tritforge;
using test::Block;
using test::Random;

struct Operand {
  std::unique_ptr<Block> block;
  StridedMatrix matrix;
};

// [rows, columns], row by row or column by column, with a gap behind each line but the last.
Operand random_matrix(Random& random, std::size_t rows, std::size_t columns, bool by_columns) {
  const std::size_t lines = by_columns ? columns : rows, length = by_columns ? rows : columns;
  const std::size_t stride = length + random() % 3;
  const std::size_t count = (lines - 1) * stride + length;
  auto block = std::make_unique<Block>(count * sizeof(double));
  auto* const values = reinterpret_cast<double*>(block->data());
  for (std::size_t i = 0; i < count; ++i) {
    values[i] = static_cast<double>(static_cast<std::int32_t>(random())) / 3e8;
  }
  return {std::move(block), by_columns ? StridedMatrix{values, 1, stride} : StridedMatrix{values, stride, 1}};
}

bool check_product(Random& random, Isa isa, std::size_t rows, std::size_t columns, std::size_t depth) {
  const Operand a = random_matrix(random, rows, depth, random() % 2 == 0);
  const Operand b = random_matrix(random, depth, columns, random() % 2 == 0);
  const Operand c = random_matrix(random, rows, columns, false);
  const std::size_t stride = c.matrix.row_stride;
  Block expected(c.block->size());
  std::memcpy(expected.data(), c.block->data(), c.block->size());
  Block scratch(subtract_product_scratch_bytes(rows, columns, depth));
  subtract_product__reference(rows, columns, depth, a.matrix, b.matrix, reinterpret_cast<double*>(expected.data()), stride);
  subtract_product(isa, rows, columns, depth, a.matrix, b.matrix, reinterpret_cast<double*>(c.block->data()), stride,
                   scratch.data());
  if (std::memcmp(expected.data(), c.block->data(), c.block->size()) == 0) return true;
  std::printf("%s: %zu x %zu x %zu differs from the formula\n", isa_name(isa), rows, columns, depth);
  return false;
}

}  // namespace

int main() {
  Random random(20170511);
  for (const Isa isa : kAllIsas) {
    if (!isa_is_built(isa) || !cpu_has(isa)) continue;
    for (std::size_t rows : {1, 5, 6, 7, 8, 9, 17, 95, 96, 97}) {
      for (std::size_t columns : {1, 4, 7, 8, 9, 23, 24, 25, 49}) {
        for (std::size_t depth : {1, 2, 31}) {
          if (!check_product(random, isa, rows, columns, depth)) return 1;
        }
      }
    }
    for (std::size_t depth : {255, 256, 257, 515}) {
      if (!check_product(random, isa, 13, 241, depth)) return 1;
    }
    std::printf("%s agrees\n", isa_name(isa));
  }
  return 0;
}
