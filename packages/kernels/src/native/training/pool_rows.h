// Largest elements of windows and their gradients, on vectors of any width along channels; included by the folder of each instruction set.
#pragma once

#include "training/tiles.h"

namespace tritforge {
namespace {

template <typename V>
struct Pool {
  using Type = typename V::Type;
  using Part = typename V::Part;

  static void largest(const PoolCall& call) noexcept {
    for (std::size_t first = 0; first < call.channels; first += V::kLanes) {
      const Part part = V::part(call.channels - first);
      Type most = V::load_part(call.x + first, part);
      for (std::size_t r = 0; r < call.rows; ++r) {
        const float* x = call.x + r * call.x_row + first;
        for (std::size_t k = 0; k < call.columns; ++k, x += call.channels) most = V::maximum(V::load_part(x, part), most);
      }
      V::store_part(call.y + first, most, part);
    }
  }

  static void gradient(const PoolCall& call) noexcept {
    for (std::size_t first = 0; first < call.channels; first += V::kLanes) {
      const Part part = V::part(call.channels - first);
      const Type most = V::load_part(call.y + first, part);
      Type left = V::load_part(call.g + first, part);
      for (std::size_t r = 0; r < call.rows; ++r) {
        std::size_t at = r * call.x_row + first;
        for (std::size_t k = 0; k < call.columns; ++k, at += call.channels) {
          const Type given = V::where_equal(V::load_part(call.x + at, part), most, left);
          V::store_part(call.out + at, V::add(V::load_part(call.out + at, part), given), part);
          left = V::subtract(left, given);
        }
      }
    }
  }
};

}  // namespace
}  // namespace tritforge
