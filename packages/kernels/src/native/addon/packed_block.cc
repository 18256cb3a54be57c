#include "packed_block.h"

#include <cstdlib>
#include <iterator>
#include <new>
#include <string>
#include <utility>

namespace tritforge {
namespace {

// Marks our objects: an object of another kind that wraps a pointer must not pass for one.
constexpr napi_type_tag kTag{0x5c1d40f2a77e4b0dull, 0x9b3ce86b1f5a2d64ull};

constexpr const char* kLayouts[] = {"dot8", "dot8t", "table27", "table64", "gemv2", "depthwise"};  // from Layout 1
constexpr const char* kKinds[] = {"ternary", "int8", "uniform2"};                                  // from WeightKind 0

template <std::size_t N>
std::size_t index_argument(const Napi::Value& value, const std::string& name, const char* const (&names)[N]) {
  if (!value.IsString()) throw Napi::TypeError::New(value.Env(), name + " must be a string");
  const std::string wanted = value.As<Napi::String>().Utf8Value();
  std::string all;
  for (std::size_t i = 0; i < N; ++i) {
    if (wanted == names[i]) return i;
    all += (i == 0 ? "" : ", ") + std::string(names[i]);
  }
  throw Napi::RangeError::New(value.Env(), name + " must be one of " + all + ", got " + wanted);
}

using Holder = std::shared_ptr<const PackedBlock>;

void finalize(napi_env env, void* data, void*) {
  auto* holder = static_cast<Holder*>(data);
  std::int64_t external = 0;
  napi_adjust_external_memory(env, -static_cast<std::int64_t>((*holder)->size()), &external);
  delete holder;
}

}  // namespace

PackedBlock::PackedBlock(std::size_t bytes) : size_(bytes) {
  void* memory = nullptr;
  if (posix_memalign(&memory, kPackAlignment, bytes == 0 ? kPackAlignment : bytes) != 0) throw std::bad_alloc();
  data_ = static_cast<std::uint8_t*>(memory);
}

PackedBlock::~PackedBlock() { std::free(data_); }

Napi::Value wrap_block(Napi::Env env, std::shared_ptr<const PackedBlock> block) {
  const PackedWeights& weights = block->weights();
  Napi::Object object = Napi::Object::New(env);
  const auto set_number = [&](const char* name, std::size_t value) {
    object.Set(name, Napi::Number::New(env, static_cast<double>(value)));
  };
  object.Set("layout", Napi::String::New(env, layout_name(weights.layout)));
  object.Set("kind", Napi::String::New(env, kind_name(weights.kind)));
  set_number("outputChannels", weights.shape.output_channels);
  set_number("depth", weights.shape.depth);
  set_number("kernelHeight", weights.shape.kernel_height);
  set_number("kernelWidth", weights.shape.kernel_width);
  set_number("groups", weights.shape.groups);
  set_number("groupSize", weights.group_size);
  set_number("byteLength", block->size());
  object.TypeTag(&kTag);
  auto holder = std::make_unique<Holder>(std::move(block));
  const auto size = static_cast<std::int64_t>((*holder)->size());
  if (napi_wrap(env, object, holder.get(), finalize, nullptr, nullptr) != napi_ok) throw Napi::Error::New(env);
  holder.release();
  std::int64_t external = 0;
  napi_adjust_external_memory(env, size, &external);
  object.Freeze();
  return object;
}

std::shared_ptr<const PackedBlock> block_argument(const Napi::Value& value, const std::string& name) {
  void* holder = nullptr;
  if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&kTag) ||
      napi_unwrap(value.Env(), value, &holder) != napi_ok) {
    throw Napi::TypeError::New(value.Env(), name + " must be packed weights, as packWeights and openPackedWeights give them");
  }
  return *static_cast<Holder*>(holder);
}

const char* layout_name(Layout layout) { return kLayouts[static_cast<int>(layout) - 1]; }

Layout layout_argument(const Napi::Value& value, const std::string& name) {
  return static_cast<Layout>(index_argument(value, name, kLayouts) + 1);
}

const char* kind_name(WeightKind kind) { return kKinds[static_cast<int>(kind)]; }

WeightKind kind_argument(const Napi::Value& value, const std::string& name) {
  return static_cast<WeightKind>(index_argument(value, name, kKinds));
}

}  // namespace tritforge
