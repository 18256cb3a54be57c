// The output stages against digests of what onnxruntime 1.30 computes. Parameters were chosen so that every other order
// of operations we could think of, fused or not, gives another digest in at least one row. Prints the first difference and
// exits with 1; exits with 0 when all agree.
#include "tritforge/requantize.h"

#include <cstddef>
#include <cstdio>
#include <iterator>

namespace {

constexpr int kPairs = 65536;

// 64-bit FNV-1a.
class Digest {
 public:
  void add(std::uint8_t byte) { value_ = (value_ ^ byte) * 0x100000001b3ULL; }
  std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 0xcbf29ce484222325ULL;
};

bool agrees(const char* what, std::size_t row, const Digest& digest, std::uint64_t expected) {
  if (digest.value() == expected) return true;
  std::printf("%s, row %zu: expected digest %016llx, got %016llx\n", what, row,
              static_cast<unsigned long long>(expected), static_cast<unsigned long long>(digest.value()));
  return false;
}

// Accumulators base + step * i for i = -32768 … 32767.
struct ConvRow {
  float x_scale, w_scale, y_scale;
  std::uint8_t zero_point;
  std::int32_t step, base;
  std::uint64_t digest;
};

constexpr ConvRow kConvRows[] = {
    {0x1.47ae14p-6f, 0x1.89374cp-9f, 0x1.99999ap-5f, 0, 1, 0, 0xdc0ad5a5d5df87ba},
    // Powers of two: every second or fourth value is a tie.
    {0x1p-1f, 0x1p-3f, 0x1p+0f, 128, 1, 0, 0x587499c21f95c79d},
    {0x1p-2f, 0x1p-7f, 0x1p-1f, 255, 3, 1, 0x31ac40501a58e6f7},
    // Near the end of int32, and far outside of uint8.
    {0x1.ff2e48p-9f, 0x1.13404ep-9f, 0x1.388p+13f, 17, 127, 2143322111, 0xa7eee22b300f2325},
    {0x1.ccccccp-1f, 0x1.ccccccp-1f, 0x1.0c6f7ap-20f, 100, 127, 0, 0x108b1d66f48fa3be},
    // Other orders of the factors of the multiplier differ.
    {0x1.452c92p-4f, 0x1.15f39cp-4f, 0x1.d7a998p+1f, 107, 1, 794, 0xebd939da0cd9e185},
    {0x1.9f42ccp-5f, 0x1.7edbb6p-6f, 0x1.4ec76cp-1f, 24, 1, 977, 0x24b6edc5b4ea5b1d},
    {0x1.2d3966p-6f, 0x1.06eedep-7f, 0x1.a490f4p-6f, 70, 1, -852, 0x00e01e91921a4a21},
};

struct AddRow {
  float a_scale;
  std::uint8_t a_zero_point;
  float b_scale;
  std::uint8_t b_zero_point;
  float c_scale;
  std::uint8_t c_zero_point;
  std::uint64_t digest;
};

constexpr AddRow kAddRows[] = {
    {0x1.810624p-6f, 0, 0x1.81d7dcp-5f, 0, 0x1.a36e2ep-5f, 0, 0x73c40b035029eaee},
    // Powers of two: ties.
    {0x1p-5f, 128, 0x1p-4f, 7, 0x1p-3f, 50, 0x62ad9e8acf1a4725},
    {0x1p-2f, 3, 0x1p-1f, 200, 0x1p-1f, 100, 0x2a78a8523970c1d9},
    // Sums that int32 does not hold.
    {0x1.388p+13f, 3, 0x1p+0f, 3, 0x1.0c6f7ap-20f, 7, 0x0282b09338b2ff3c},
    // Exchanged operands or unfused sums differ.
    {0x1.0bf9f6p-4f, 211, 0x1.071aa6p-5f, 65, 0x1.37d3bcp-5f, 104, 0x6cdb67108d4800c7},
    {0x1.268db4p-5f, 77, 0x1.fbd9d6p-5f, 31, 0x1.45064cp-5f, 116, 0xf70e24d327f7e86b},
    // An offset that rounds a_ratio * a_zero_point first differs.
    {0x1.deaf6ap-4f, 224, 0x1.3222c8p-3f, 79, 0x1.643b1ap-4f, 120, 0x742f143dbcf4a393},
    {0x1.578806p-3f, 55, 0x1.889b7ap-5f, 177, 0x1.5cfbf6p-4f, 163, 0x5345cc46dae6048b},
    // An offset that rounds both products differs.
    {0x1.152f68p-3f, 53, 0x1.152f66p-4f, 117, 0x1.3cc878p-4f, 231, 0x3e8745cd1e2c0265},
    {0x1.6057b4p-3f, 67, 0x1.37e8eap-4f, 65, 0x1.71abcp-4f, 5, 0x3f251a0e0a92a568},
};

bool conv_agrees(std::size_t index) {
  const ConvRow& row = kConvRows[index];
  const float multiplier = tritforge::requantize_multiplier(row.x_scale, row.w_scale, row.y_scale);
  Digest digest;
  for (int i = 0; i < kPairs; ++i) {
    digest.add(tritforge::requantize(row.base + row.step * (i - kPairs / 2), multiplier, row.zero_point));
  }
  return agrees("QLinearConv", index, digest, row.digest);
}

bool add_agrees(std::size_t index) {
  const AddRow& row = kAddRows[index];
  const auto requantization = tritforge::add_requantization(row.a_scale, row.a_zero_point, row.b_scale,
                                                            row.b_zero_point, row.c_scale, row.c_zero_point);
  Digest digest;
  for (int i = 0; i < kPairs; ++i) {
    digest.add(tritforge::requantize_add(static_cast<std::uint8_t>(i >> 8), static_cast<std::uint8_t>(i),
                                         requantization));
  }
  return agrees("QLinearAdd", index, digest, row.digest);
}

bool products_agree() {
  // (7 * 0.1f) * 0.7f and (13 * 0.7f) * 0.1f are other numbers.
  const float seven = tritforge::dequantize_product(7, 0.1f, 0.7f);
  const float thirteen = tritforge::dequantize_product(13, 0.1f, 0.7f);
  if (seven == 0x1.f5c29p-2f && thirteen == 0x1.d1eb86p-1f) return true;
  std::printf("MatMulInteger: got %a and %a\n", static_cast<double>(seven), static_cast<double>(thirteen));
  return false;
}

}  // namespace

int main() {
  for (std::size_t i = 0; i < std::size(kConvRows); ++i) {
    if (!conv_agrees(i)) return 1;
  }
  for (std::size_t i = 0; i < std::size(kAddRows); ++i) {
    if (!add_agrees(i)) return 1;
  }
  return products_agree() ? 0 : 1;
}
