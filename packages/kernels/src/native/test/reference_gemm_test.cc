// Runs the reference product under the sanitizers, in buffers without a spare byte, and compares each value with the
// formula written out. Prints the first difference and exits with 1; exits with 0 when all agree.
#include "tritforge/reference_gemm.h"

#include <cstdio>
#include <memory>
#include <random>
#include <vector>

namespace {

using tritforge::GemmStatus;
using tritforge::TernaryGemmShape;

struct Case {
  TernaryGemmShape shape;
  std::uint8_t zero_point;
  std::vector<std::uint8_t> activations;
  std::vector<int> codes;
  std::vector<std::uint8_t> packed;
  std::vector<std::uint8_t> group_codes;
};

Case random_case(const TernaryGemmShape& shape, std::mt19937& random) {
  Case c{shape, static_cast<std::uint8_t>(random() % 256), {}, {}, {}, {}};
  c.activations.resize(shape.m * shape.k);
  for (auto& value : c.activations) value = static_cast<std::uint8_t>(random());
  c.codes.resize(shape.n * shape.k);
  c.packed.resize(tritforge::packed_byte_length(c.codes.size()));
  for (std::size_t i = 0; i < c.codes.size(); ++i) {
    c.codes[i] = static_cast<int>(random() % 3) - 1;
    c.packed[i / 4] = static_cast<std::uint8_t>(c.packed[i / 4] | (c.codes[i] & 0b11) << (i % 4 * 2));
  }
  c.group_codes.resize(shape.n * tritforge::groups_per_row(shape));
  for (auto& value : c.group_codes) value = static_cast<std::uint8_t>(random());
  return c;
}

GemmStatus run(const Case& c, std::vector<std::int32_t>& out, std::size_t* failed_row) {
  std::unique_ptr<std::int16_t[]> row(new std::int16_t[c.shape.k]);
  out.assign(c.shape.m * c.shape.n, -1);
  return tritforge::u8_s32_t2_gemm__reference(c.shape, c.activations.data(), c.zero_point,
                                              {c.packed.data(), c.group_codes.data()}, row.get(), out.data(),
                                              failed_row);
}

bool agrees_with_the_formula(const Case& c) {
  const auto& [m_size, n_size, k_size, group_size] = c.shape;
  std::vector<std::int32_t> out;
  if (run(c, out, nullptr) != GemmStatus::ok) return false;
  for (std::size_t m = 0; m < m_size; ++m) {
    for (std::size_t n = 0; n < n_size; ++n) {
      std::int64_t sum = 0;
      for (std::size_t k = 0; k < k_size; ++k) {
        sum += (c.activations[m * k_size + k] - c.zero_point) * c.codes[n * k_size + k] *
               c.group_codes[n * tritforge::groups_per_row(c.shape) + k / group_size];
      }
      if (sum != out[m * n_size + n]) {
        std::printf("m %zu n %zu of %zux%zux%zu groups of %zu: expected %lld, got %d\n", m, n, m_size, n_size, k_size,
                    group_size, static_cast<long long>(sum), out[m * n_size + n]);
        return false;
      }
    }
  }
  return true;
}

bool refuses_the_invalid_code() {
  const Case c{{1, 2, 3, 2}, 0, {1, 2, 3}, {}, {0b01'01'01'01, 0b10'01}, {1, 1, 1, 1}};
  std::vector<std::int32_t> out;
  std::size_t failed_row = 99;
  return run(c, out, &failed_row) == GemmStatus::invalid_code && failed_row == 1;
}

bool refuses_a_sum_that_could_overflow() {
  constexpr std::size_t longest = 33025;  // 255 * 255 * 33025 < 2^31
  for (const std::size_t k : {longest, longest + 1}) {
    const TernaryGemmShape shape{1, 1, k, k};
    const std::vector<std::uint8_t> ones(tritforge::packed_byte_length(k), 0b01'01'01'01);
    const Case c{shape, 0, std::vector<std::uint8_t>(k, 255), {}, ones, {255}};
    std::vector<std::int32_t> out;
    const GemmStatus expected = k == longest ? GemmStatus::ok : GemmStatus::accumulator_overflow;
    if (run(c, out, nullptr) != expected) return false;
    if (expected == GemmStatus::ok && out[0] != 255 * 255 * static_cast<std::int32_t>(k)) return false;
  }
  return true;
}

}  // namespace

int main() {
  std::mt19937 random(20);
  for (const std::size_t m : {0, 1, 3}) {
    for (const std::size_t n : {0, 1, 2, 5}) {
      for (const std::size_t k : {0, 1, 3, 4, 5, 15, 16, 17, 63, 64, 65, 130}) {
        for (const std::size_t group_size : {1, 4, 7, 64}) {
          if (!agrees_with_the_formula(random_case({m, n, k, group_size}, random))) return 1;
        }
      }
    }
  }
  if (!refuses_the_invalid_code()) return std::puts("the code 0b10 was accepted"), 1;
  if (!refuses_a_sum_that_could_overflow()) return std::puts("an overflowing sum was accepted, or a fitting one not"), 1;
  return 0;
}
