#include "own_weights.h"

#include <stdexcept>

#include "tritforge/status.h"

namespace bench {
namespace {

constexpr std::uint32_t kMaxGroupCode = 64;
constexpr int kMaxInt8 = 64;  // as ternary weights have at most

std::size_t value_count(const tritforge::WeightShape& shape) {
  return shape.output_channels * shape.depth * tritforge::tap_count(shape);
}

// Four random codes of two bits in each byte, taken from `allowed`.
Buffer<std::uint8_t> random_two_bits(std::size_t count, const std::uint8_t* allowed, std::uint32_t choices) {
  const std::size_t bytes = (count + 3) / 4;
  auto packed = make_buffer<std::uint8_t>(bytes);
  Random random(3);
  for (std::size_t i = 0; i < bytes; ++i) {
    unsigned byte = 0;
    for (unsigned j = 0; j < 4; ++j) byte |= static_cast<unsigned>(allowed[random.below(choices)]) << (2 * j);
    packed[i] = static_cast<std::uint8_t>(byte);
  }
  // Behind the last code are zeros.
  for (std::size_t j = count % 4; j != 0 && j < 4; ++j) packed[bytes - 1] &= static_cast<std::uint8_t>(~(3u << (2 * j)));
  return packed;
}

}  // namespace

OwnedWeights random_ternary(const tritforge::WeightShape& shape, std::size_t group_size) {
  static constexpr std::uint8_t kTrits[] = {0b00, 0b01, 0b11};
  OwnedWeights owned{};
  owned.codes = random_two_bits(value_count(shape), kTrits, 3);
  const std::size_t groups =
      shape.output_channels * ((shape.depth + group_size - 1) / group_size) * tritforge::tap_count(shape);
  owned.group_codes = random_codes(groups, kMaxGroupCode, 4);
  owned.weights = {tritforge::WeightKind::ternary, shape, owned.codes.get(), nullptr, owned.group_codes.get(), group_size,
                   {}};
  return owned;
}

OwnedWeights random_int8(const tritforge::WeightShape& shape) {
  OwnedWeights owned{};
  owned.values = random_weights(value_count(shape), kMaxInt8, 5);
  owned.weights = {tritforge::WeightKind::int8, shape, nullptr, owned.values.get(), nullptr, 0, {}};
  return owned;
}

OwnedWeights random_uniform2(const tritforge::WeightShape& shape) {
  static constexpr std::uint8_t kCodes[] = {0, 1, 2, 3};
  OwnedWeights owned{};
  owned.codes = random_two_bits(value_count(shape), kCodes, 4);
  owned.weights = {tritforge::WeightKind::uniform2, shape, owned.codes.get(), nullptr, nullptr, 0, {-2, -1, 0, 1}};
  return owned;
}

Buffer<std::int8_t> decoded(const OwnedWeights& owned) {
  auto values = make_buffer<std::int8_t>(value_count(owned.weights.shape));
  check(tritforge::decode_weights(owned.weights, values.get()));
  return values;
}

OwnedPack pack(tritforge::Layout layout, const OwnedWeights& owned) {
  const std::size_t bytes = tritforge::packed_bytes(layout, owned.weights);
  if (bytes == 0) throw std::runtime_error("the layout cannot hold these weights");
  OwnedPack result{{}, make_buffer<std::uint8_t>(bytes)};
  check(tritforge::pack_weights(layout, owned.weights, result.block.get()));
  check(tritforge::open_packed(result.block.get(), bytes, &result.packed));
  return result;
}

void check(tritforge::Status status) {
  if (status != tritforge::Status::ok) throw std::runtime_error(tritforge::describe(status));
}

}  // namespace bench
