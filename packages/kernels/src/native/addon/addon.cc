// The Node-API addon: checks arguments, copies them, and runs kernels off the event loop. Nothing here computes.
#include <napi.h>

#include <memory>
#include <new>
#include <string>
#include <utility>

#include "arguments.h"
#include "matrix_product.h"
#include "ort/session_exports.h"
#include "packed_kernels.h"
#include "ternary_gemm_worker.h"

namespace tritforge {
namespace {

// Raised whenever the arguments of an export change; the loader refuses an addon of another version.
constexpr int kInterfaceVersion = 4;

static_assert(sizeof(std::size_t) >= 8, "products of two dimensions must fit in size_t");

constexpr std::size_t kIntegerArguments = 8;
constexpr std::size_t kFloatArguments = 10;

// (rows, outputChannels, inputChannels, groupSize, zeroPoint, activations, packedCodes, groupCodes
//  [, inputScale, channelScales])
TernaryGemmCall parse_call(const Napi::CallbackInfo& info, bool dequantize) {
  TernaryGemmShape shape{};
  shape.m = integer_argument(info[0], "rows", 0, kMaxDimension);
  shape.n = integer_argument(info[1], "outputChannels", 0, kMaxDimension);
  shape.k = integer_argument(info[2], "inputChannels", 0, kMaxDimension);
  shape.group_size = integer_argument(info[3], "groupSize", 1, kMaxDimension);
  if (static_cast<std::uint64_t>(shape.m) * shape.n > kMaxOutputValues) {
    throw Napi::RangeError::New(info.Env(), "rows × outputChannels must be at most " + std::to_string(kMaxOutputValues));
  }
  const auto zero_point = static_cast<std::uint8_t>(integer_argument(info[4], "zeroPoint", 0, 255));
  return {.shape = shape,
          .zero_point = zero_point,
          .activations = bytes_argument(info[5], "activations", static_cast<std::uint64_t>(shape.m) * shape.k),
          .packed_codes = bytes_argument(info[6], "packedCodes", packed_byte_length(shape.n * shape.k)),
          .group_codes = bytes_argument(info[7], "groupCodes", static_cast<std::uint64_t>(shape.n) * groups_per_row(shape)),
          .dequantize = dequantize,
          .input_scale = dequantize ? scale_argument(info[8], "inputScale") : 0,
          .channel_scales = dequantize ? scales_argument(info[9], "channelScales", shape.n) : std::vector<float>()};
}

Napi::Value start_gemm(const Napi::CallbackInfo& info, bool dequantize) {
  const std::size_t expected = dequantize ? kFloatArguments : kIntegerArguments;
  if (info.Length() != expected) {
    throw Napi::TypeError::New(info.Env(), "expected " + std::to_string(expected) + " arguments, got " +
                                               std::to_string(info.Length()));
  }
  try {
    return start(std::make_unique<TernaryGemmWorker>(info.Env(), parse_call(info, dequantize)));
  } catch (const Napi::Error&) {
    throw;
  } catch (const std::bad_alloc&) {
    throw Napi::RangeError::New(info.Env(), "not enough memory for this call");
  }
}

Napi::Value ternary_gemm_int32(const Napi::CallbackInfo& info) { return start_gemm(info, false); }
Napi::Value ternary_gemm_float32(const Napi::CallbackInfo& info) { return start_gemm(info, true); }

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  exports.Set("interfaceVersion", Napi::Number::New(env, kInterfaceVersion));
  exports.Set("ternaryGemmInt32", Napi::Function::New(env, ternary_gemm_int32, "ternaryGemmInt32"));
  exports.Set("ternaryGemmFloat32", Napi::Function::New(env, ternary_gemm_float32, "ternaryGemmFloat32"));
  add_matrix_product(env, exports);
  add_packed_kernels(env, exports);
  ort::export_sessions(env, exports);
  return exports;
}

}  // namespace
}  // namespace tritforge

// The macro takes a name without a namespace.
static Napi::Object initialize(Napi::Env env, Napi::Object exports) { return tritforge::initialize(env, exports); }

NODE_API_MODULE(tritforge_kernels, initialize)
