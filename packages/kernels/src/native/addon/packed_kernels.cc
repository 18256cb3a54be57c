#include "packed_kernels.h"

#include <memory>
#include <new>
#include <string>
#include <utility>

#include "arguments.h"
#include "convolve_worker.h"
#include "dynamic_matmul_worker.h"
#include "pack_worker.h"
#include "tritforge/cpu.h"
#include "tritforge/thread_pool.h"

namespace tritforge {
namespace {

constexpr double kMaxExtent = 1 << 24;
constexpr double kMaxLevel = 3;

void check_count(const Napi::CallbackInfo& info, std::size_t expected) {
  if (info.Length() == expected) return;
  throw Napi::TypeError::New(info.Env(), "expected " + std::to_string(expected) + " arguments, got " +
                                             std::to_string(info.Length()));
}

bool is_absent(const Napi::Value& value) { return value.IsNull() || value.IsUndefined(); }

// Null chooses the set of this process.
Isa isa_argument(const Napi::Value& value) {
  if (is_absent(value)) return active_isa();
  if (!value.IsString()) throw Napi::TypeError::New(value.Env(), "isa must be a string");
  const std::string wanted = value.As<Napi::String>().Utf8Value();
  for (const Isa isa : kAllIsas) {
    if (wanted != isa_name(isa)) continue;
    if (isa_is_built(isa) && cpu_has(isa)) return isa;
    throw Napi::RangeError::New(value.Env(), "the kernels of " + wanted +
                                                 (isa_is_built(isa) ? " cannot run on this processor" : " were not built"));
  }
  throw Napi::RangeError::New(value.Env(), "isa must be the name of an instruction set, got " + wanted);
}

// Elements of the weights; throws where that overflows what a block can hold.
std::size_t weight_count(Napi::Env env, const WeightShape& s) {
  double count = 1;
  for (const std::size_t extent : {s.output_channels, s.depth, s.kernel_height, s.kernel_width}) {
    count *= static_cast<double>(extent);
  }
  if (count > 1e12) throw Napi::RangeError::New(env, "the weights must have at most 1e12 elements");
  return static_cast<std::size_t>(count);
}

// (layout | null, isa | null, outputPixels, maxCode, kind, outputChannels, depth, kernelHeight, kernelWidth, groups, groupSize,
//  codes | null, values | null, groupCodes | null, levels | null)
constexpr std::size_t kPackArguments = 15;

PackCall pack_call(const Napi::CallbackInfo& info) {
  PackCall call{kind_argument(info[4], "kind"), {}, 0, {}, {}, {}, {}};
  WeightShape& shape = call.shape;
  shape.output_channels = integer_argument(info[5], "outputChannels", 1, kMaxExtent);
  shape.depth = integer_argument(info[6], "depth", 1, kMaxExtent);
  shape.kernel_height = integer_argument(info[7], "kernelHeight", 1, 1024);
  shape.kernel_width = integer_argument(info[8], "kernelWidth", 1, 1024);
  shape.groups = integer_argument(info[9], "groups", 1, kMaxExtent);
  if (shape.output_channels % shape.groups != 0) {
    throw Napi::RangeError::New(info.Env(), "outputChannels must be a multiple of groups");
  }
  const std::size_t count = weight_count(info.Env(), shape);
  if (call.kind == WeightKind::int8) {
    call.values = int8_argument(info[12], "values", count);
    return call;
  }
  call.codes = bytes_argument(info[11], "codes", (count + 3) / 4);
  if (call.kind == WeightKind::ternary) {
    call.group_size = integer_argument(info[10], "groupSize", 1, kMaxExtent);
    const std::size_t groups = (shape.depth + call.group_size - 1) / call.group_size;
    call.group_codes = bytes_argument(info[13], "groupCodes", shape.output_channels * groups * tap_count(shape));
    return call;
  }
  const std::vector<std::int8_t> levels = int8_argument(info[14], "levels", 4);
  for (std::size_t i = 0; i < 4; ++i) {
    if (levels[i] < -kMaxLevel || levels[i] > kMaxLevel) {
      throw Napi::RangeError::New(info.Env(), "levels[" + std::to_string(i) + "] must be from -3 to 3");
    }
    call.levels[i] = levels[i];
  }
  return call;
}

Napi::Value pack_weights_export(const Napi::CallbackInfo& info) {
  check_count(info, kPackArguments);
  const Isa isa = isa_argument(info[1]);
  const std::size_t pixels = integer_argument(info[2], "outputPixels", 1, kMaxDimension);
  const auto max_code = static_cast<std::uint8_t>(integer_argument(info[3], "maxCode", 1, 255));
  PackCall call = pack_call(info);
  const Layout layout =
      is_absent(info[0]) ? choose_layout(isa, call.weights(), pixels, max_code) : layout_argument(info[0], "layout");
  return start(std::make_unique<PackWorker>(info.Env(), layout, std::move(call)));
}

Napi::Value open_packed_export(const Napi::CallbackInfo& info) {
  check_count(info, 1);
  if (!info[0].IsTypedArray() || info[0].As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) {
    throw Napi::TypeError::New(info.Env(), "bytes must be a Uint8Array");
  }
  const auto bytes = info[0].As<Napi::Uint8Array>();
  auto block = std::make_shared<PackedBlock>(bytes.ElementLength());
  std::copy(bytes.Data(), bytes.Data() + bytes.ElementLength(), block->data());
  if (const Status status = block->open(); status != Status::ok) {
    throw Napi::RangeError::New(info.Env(), std::string("bytes: ") + describe(status));
  }
  return wrap_block(info.Env(), std::move(block));
}

Napi::Value packed_bytes_export(const Napi::CallbackInfo& info) {
  check_count(info, 1);
  const auto block = block_argument(info[0], "weights");
  auto bytes = Napi::Uint8Array::New(info.Env(), block->size());
  std::copy(block->data(), block->data() + block->size(), bytes.Data());
  return bytes;
}

// (weights, isa | null, threads, batch, height, width, strides 2, dilations 2, pads 4: top left bottom right, input, zeroPoint,
//  maxCode, output "s32" | "f32" | "u8", bias | null, multiplier | null, outputZeroPoint, outputMaxCode)
constexpr std::size_t kConvolveArguments = 22;

OutputKind output_argument(const Napi::Value& value) {
  const std::string name = value.IsString() ? value.As<Napi::String>().Utf8Value() : "";
  if (name == "s32") return OutputKind::s32;
  if (name == "f32") return OutputKind::f32;
  if (name == "u8") return OutputKind::u8;
  throw Napi::RangeError::New(value.Env(), "output must be one of s32, f32, u8");
}

ConvolutionGeometry geometry_arguments(const Napi::CallbackInfo& info) {
  constexpr const char* kNames[] = {"batch", "height", "width", "strideHeight", "strideWidth", "dilationHeight", "dilationWidth",
                                    "padTop", "padLeft", "padBottom", "padRight"};
  std::size_t values[11];
  for (std::size_t i = 0; i < 11; ++i) values[i] = integer_argument(info[3 + i], kNames[i], i < 7 ? 1 : 0, kMaxExtent);
  return {values[0], values[1], values[2], values[3], values[4], values[5], values[6], values[7], values[8], values[9], values[10]};
}

std::size_t output_count(Napi::Env env, const ConvolutionGeometry& geometry, const WeightShape& shape) {
  const std::size_t pixels = output_height(geometry, shape) * output_width(geometry, shape);
  if (pixels == 0) throw Napi::RangeError::New(env, "the image is smaller than the kernel");
  const double count = static_cast<double>(geometry.batch) * static_cast<double>(pixels) * static_cast<double>(shape.output_channels);
  if (count > static_cast<double>(kMaxOutputValues)) {
    throw Napi::RangeError::New(env, "the result must have at most " + std::to_string(kMaxOutputValues) + " values");
  }
  return static_cast<std::size_t>(count);
}

Napi::Value convolve_export(const Napi::CallbackInfo& info) {
  check_count(info, kConvolveArguments);
  ConvolveCall call{};
  call.block = block_argument(info[0], "weights");
  const PackedWeights& weights = call.block->weights();
  const Isa isa = isa_argument(info[1]);
  call.kernel = convolution_kernel(weights.layout, isa);
  if (call.kernel == nullptr) {
    throw Napi::RangeError::New(info.Env(), std::string("there is no kernel for the layout ") + layout_name(weights.layout) +
                                                " on " + isa_name(isa));
  }
  call.threads = integer_argument(info[2], "threads", 1, kMaxThreads);
  call.geometry = geometry_arguments(info);
  call.outputs = output_count(info.Env(), call.geometry, weights.shape);
  const double pixels = static_cast<double>(call.geometry.batch) * static_cast<double>(call.geometry.height) *
                        static_cast<double>(call.geometry.width) *
                        static_cast<double>(weights.shape.groups * weights.shape.depth);
  if (pixels > static_cast<double>(kMaxOutputValues)) {
    throw Napi::RangeError::New(info.Env(), "the input must have at most " + std::to_string(kMaxOutputValues) + " values");
  }
  call.input = bytes_argument(info[14], "input", static_cast<std::uint64_t>(pixels));
  call.input_zero_point = static_cast<std::uint8_t>(integer_argument(info[15], "zeroPoint", 0, 255));
  call.max_code = static_cast<std::uint8_t>(integer_argument(info[16], "maxCode", 1, 255));
  for (const std::uint8_t code : call.input) {
    if (code > call.max_code) throw Napi::RangeError::New(info.Env(), "input has the code " + std::to_string(code) + ", above maxCode");
  }
  call.output = output_argument(info[17]);
  if (!is_absent(info[18])) call.bias = int32_argument(info[18], "bias", weights.shape.output_channels);
  if (call.output != OutputKind::s32) call.multiplier = scales_argument(info[19], "multiplier", weights.shape.output_channels);
  call.output_zero_point = static_cast<std::uint8_t>(integer_argument(info[20], "outputZeroPoint", 0, 255));
  call.output_max_code = static_cast<std::uint8_t>(integer_argument(info[21], "outputMaxCode", 1, 255));
  return start(std::make_unique<ConvolveWorker>(info.Env(), std::move(call)));
}

// (weights, isa | null, threads, rows, x, channelScales, bias | null)
constexpr std::size_t kMatmulArguments = 7;

Napi::Value dynamic_matmul_export(const Napi::CallbackInfo& info) {
  check_count(info, kMatmulArguments);
  DynamicMatmulCall call{};
  call.block = block_argument(info[0], "weights");
  const PackedWeights& weights = call.block->weights();
  const Isa isa = isa_argument(info[1]);
  call.kernel = weights.layout == Layout::gemv2 ? dynamic_gemv(isa) : nullptr;
  if (call.kernel == nullptr) {
    throw Napi::RangeError::New(info.Env(), std::string("there is no product with float32 rows for the layout ") +
                                                layout_name(weights.layout) + " on " + isa_name(isa));
  }
  call.threads = integer_argument(info[2], "threads", 1, kMaxThreads);
  call.rows = integer_argument(info[3], "rows", 1, kMaxExtent);
  const std::size_t outputs = weights.shape.output_channels;
  if (call.rows * std::max(outputs, weights.shape.depth) > kMaxOutputValues) {
    throw Napi::RangeError::New(info.Env(), "rows × channels must be at most " + std::to_string(kMaxOutputValues));
  }
  call.x = floats_argument(info[4], "x", static_cast<std::uint64_t>(call.rows) * weights.shape.depth);
  call.channel_scales = scales_argument(info[5], "channelScales", outputs);
  if (!is_absent(info[6])) call.bias = floats_argument(info[6], "bias", outputs);
  return start(std::make_unique<DynamicMatmulWorker>(info.Env(), std::move(call)));
}

// {active, built: [...], runnable: [...], problem: string | null}
Napi::Value cpu_features_export(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Napi::Array built = Napi::Array::New(env), runnable = Napi::Array::New(env);
  for (const Isa isa : kAllIsas) {
    if (!isa_is_built(isa)) continue;
    built.Set(built.Length(), Napi::String::New(env, isa_name(isa)));
    if (cpu_has(isa)) runnable.Set(runnable.Length(), Napi::String::New(env, isa_name(isa)));
  }
  Napi::Object features = Napi::Object::New(env);
  features.Set("active", Napi::String::New(env, isa_name(active_isa())));
  features.Set("built", built);
  features.Set("runnable", runnable);
  const char* problem = isa_override_problem();
  features.Set("problem", problem == nullptr ? env.Null() : Napi::String::New(env, problem).As<Napi::Value>());
  return features;
}

// An export: what it throws of its own becomes an exception of JavaScript.
template <Napi::Value (*Function)(const Napi::CallbackInfo&)>
Napi::Value guarded(const Napi::CallbackInfo& info) {
  try {
    return Function(info);
  } catch (const Napi::Error&) {
    throw;
  } catch (const std::bad_alloc&) {
    throw Napi::RangeError::New(info.Env(), "not enough memory for this call");
  }
}

template <Napi::Value (*Function)(const Napi::CallbackInfo&)>
void add(Napi::Env env, Napi::Object exports, const char* name) {
  exports.Set(name, Napi::Function::New(env, guarded<Function>, name));
}

}  // namespace

void add_packed_kernels(Napi::Env env, Napi::Object exports) {
  add<pack_weights_export>(env, exports, "packWeights");
  add<open_packed_export>(env, exports, "openPackedWeights");
  add<packed_bytes_export>(env, exports, "packedBytes");
  add<convolve_export>(env, exports, "convolve");
  add<dynamic_matmul_export>(env, exports, "dynamicMatmul");
  add<cpu_features_export>(env, exports, "cpuFeatures");
}

}  // namespace tritforge
