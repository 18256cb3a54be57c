// Aligned memory of random content, the same in every process.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>

namespace bench {

inline constexpr std::size_t kAlignment = 64;

template <typename T>
using Buffer = std::shared_ptr<T[]>;

// Uninitialized; readable up to 64 bytes behind the end.
template <typename T>
Buffer<T> make_buffer(std::size_t count) {
  const std::size_t bytes = (count * sizeof(T) + 2 * kAlignment - 1) / kAlignment * kAlignment;
  void* memory = std::aligned_alloc(kAlignment, bytes);
  if (memory == nullptr) throw std::bad_alloc();
  return Buffer<T>(static_cast<T*>(memory), [](T* pointer) { std::free(pointer); });
}

// SplitMix64.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint32_t next() {
    state_ += 0x9e3779b97f4a7c15;
    std::uint64_t z = state_;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return static_cast<std::uint32_t>(z >> 32);
  }
  // 0 … count − 1.
  std::uint32_t below(std::uint32_t count) { return next() % count; }

 private:
  std::uint64_t state_;
};

// 0 … max_code.
inline Buffer<std::uint8_t> random_codes(std::size_t count, std::uint32_t max_code, std::uint64_t seed) {
  auto codes = make_buffer<std::uint8_t>(count);
  Random random(seed);
  for (std::size_t i = 0; i < count; ++i) codes[i] = static_cast<std::uint8_t>(random.below(max_code + 1));
  return codes;
}

// −max … max.
inline Buffer<std::int8_t> random_weights(std::size_t count, int max, std::uint64_t seed) {
  auto weights = make_buffer<std::int8_t>(count);
  Random random(seed);
  for (std::size_t i = 0; i < count; ++i) {
    weights[i] = static_cast<std::int8_t>(static_cast<int>(random.below(2 * static_cast<unsigned>(max) + 1)) - max);
  }
  return weights;
}

// −1 … 1.
inline Buffer<float> random_floats(std::size_t count, std::uint64_t seed) {
  auto values = make_buffer<float>(count);
  Random random(seed);
  for (std::size_t i = 0; i < count; ++i) {
    values[i] = static_cast<float>(static_cast<std::int32_t>(random.next())) * 0x1p-31f;
  }
  return values;
}

}  // namespace bench
