// Hands out aligned pieces of scratch; without memory it only counts, so that the same function sizes and divides it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tritforge {

class ScratchArena {
 public:
  explicit ScratchArena(std::uint8_t* memory) : memory_(memory) {}

  template <class T>
  T* take(std::size_t count) {
    T* const piece = memory_ == nullptr ? nullptr : reinterpret_cast<T*>(memory_ + used_);
    used_ += (count * sizeof(T) + kAlignment - 1) / kAlignment * kAlignment;
    return piece;
  }

  std::size_t used() const { return used_; }

 private:
  static constexpr std::size_t kAlignment = 64;
  std::uint8_t* memory_;
  std::size_t used_ = 0;
};

}  // namespace tritforge
