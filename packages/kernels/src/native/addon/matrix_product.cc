#include "matrix_product.h"

#include <cstdint>
#include <new>
#include <string>

#include "arguments.h"
#include "tritforge/cpu.h"
#include "tritforge/matrix_product.h"

namespace tritforge {
namespace {

// Elements of an array, at most: all that JavaScript counts exactly.
constexpr double kMaxElements = 9007199254740991.0;
constexpr std::size_t kAlignment = 64;

struct Elements {
  double* first;
  std::uint64_t count;
};

Elements doubles_argument(const Napi::Value& value, const std::string& name) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_float64_array) {
    throw Napi::TypeError::New(value.Env(), name + " must be a Float64Array");
  }
  auto array = value.As<Napi::Float64Array>();
  return {array.Data(), array.ElementLength()};
}

// Whether element start + (lines − 1)·line_stride + (length − 1)·stride exists. Lines, lengths and strides are below 2^31, so that
// nothing overflows.
bool fits(std::uint64_t count, std::uint64_t start, std::uint64_t lines, std::uint64_t line_stride, std::uint64_t length,
          std::uint64_t stride) {
  return start < count && (lines - 1) * line_stride + (length - 1) * stride < count - start;
}

// Four arguments: data, start, row stride, column stride.
StridedMatrix matrix_argument(const Napi::CallbackInfo& info, std::size_t at, const std::string& name, std::size_t rows,
                              std::size_t columns, double** writable = nullptr) {
  const Elements elements = doubles_argument(info[at], name);
  const std::size_t start = integer_argument(info[at + 1], name + ".start", 0, kMaxElements);
  const std::size_t row_stride = integer_argument(info[at + 2], name + ".rowStride", 0, kMaxDimension);
  const std::size_t column_stride = integer_argument(info[at + 3], name + ".columnStride", 0, kMaxDimension);
  if (!fits(elements.count, start, rows, row_stride, columns, column_stride)) {
    throw Napi::RangeError::New(info.Env(), name + " has fewer elements than the product needs");
  }
  if (writable != nullptr) *writable = elements.first + start;
  return {elements.first + start, row_stride, column_stride};
}

// (rows, columns, depth, a, aStart, aRowStride, aColumnStride, b and three, c and three). Runs on the calling thread; nothing of
// JavaScript runs meanwhile there, and threads that share the arrays must keep off C.
constexpr std::size_t kArguments = 15;

Napi::Value subtract_product_export(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (info.Length() != kArguments) {
    throw Napi::TypeError::New(env, "expected " + std::to_string(kArguments) + " arguments, got " +
                                        std::to_string(info.Length()));
  }
  const std::size_t rows = integer_argument(info[0], "rows", 1, kMaxDimension);
  const std::size_t columns = integer_argument(info[1], "columns", 1, kMaxDimension);
  const std::size_t depth = integer_argument(info[2], "depth", 1, kMaxDimension);
  const StridedMatrix a = matrix_argument(info, 3, "a", rows, depth);
  const StridedMatrix b = matrix_argument(info, 7, "b", depth, columns);
  double* c = nullptr;
  const StridedMatrix result = matrix_argument(info, 11, "c", rows, columns, &c);
  if (result.column_stride != 1) throw Napi::RangeError::New(env, "c.columnStride must be 1");
  const std::size_t bytes = subtract_product_scratch_bytes(rows, columns, depth);
  constexpr std::align_val_t alignment{kAlignment};
  auto* const scratch = static_cast<std::uint8_t*>(::operator new(bytes, alignment, std::nothrow));
  if (scratch == nullptr) throw Napi::RangeError::New(env, "not enough memory for this call");
  subtract_product(active_isa(), rows, columns, depth, a, b, c, result.row_stride, scratch);
  ::operator delete(scratch, alignment);
  return env.Undefined();
}

}  // namespace

void add_matrix_product(Napi::Env env, Napi::Object exports) {
  exports.Set("subtractProduct", Napi::Function::New(env, subtract_product_export, "subtractProduct"));
}

}  // namespace tritforge
