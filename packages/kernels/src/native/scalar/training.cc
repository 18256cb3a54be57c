// Tiles and passes of training without vectors: a lane is one float.
#include <cmath>

#include "training/channel_passes.h"

namespace tritforge {
namespace {

struct Vector {
  using Type = float;
  using Part = bool;
  static constexpr std::size_t kLanes = 1;

  static Part part(std::size_t) noexcept { return true; }
  static Type zero() noexcept { return 0; }
  static Type load(const float* p) noexcept { return *p; }
  static Type load_part(const float* p, Part) noexcept { return *p; }
  static Type broadcast(const float* p) noexcept { return *p; }
  static void store(float* p, Type v) noexcept { *p = v; }
  static void store_part(float* p, Type v, Part) noexcept { *p = v; }
  static void stream(float* p, Type v) noexcept { *p = v; }
  static void end_streams() noexcept {}
  static Type add(Type a, Type b) noexcept { return a + b; }
  static Type subtract(Type a, Type b) noexcept { return a - b; }
  static Type multiply_add(Type a, Type b, Type c) noexcept { return a * b + c; }
  static Type where_positive(Type y, Type v) noexcept { return y > 0 ? v : 0; }
  // b where one is not a number.
  static Type maximum(Type a, Type b) noexcept { return a > b ? a : b; }
  // v where a = b, else 0.
  static Type where_equal(Type a, Type b, Type v) noexcept { return a == b ? v : 0; }
  static Type minimum(Type a, Type b) noexcept { return a < b ? a : b; }
  static Type multiply(Type a, Type b) noexcept { return a * b; }
  static Type divide(Type a, Type b) noexcept { return a / b; }
  // To the nearest integer, to even where there are two.
  static Type round(Type a) noexcept { return std::nearbyint(a); }
};

}  // namespace

extern const TrainingKernels kTrainingScalar = TRITFORGE_TRAINING_KERNELS(Vector, 4, 4, 1, 3);

}  // namespace tritforge
