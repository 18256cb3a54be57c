// Packed weights as a JavaScript object.
#pragma once

#include <napi.h>

#include <cstdint>
#include <memory>

#include "tritforge/packed_weights.h"

namespace tritforge {

// Memory for packed weights, aligned as their header wants it.
class PackedBlock {
 public:
  // Throws std::bad_alloc.
  explicit PackedBlock(std::size_t bytes);
  ~PackedBlock();
  PackedBlock(const PackedBlock&) = delete;
  PackedBlock& operator=(const PackedBlock&) = delete;

  std::uint8_t* data() { return data_; }
  const std::uint8_t* data() const { return data_; }
  std::size_t size() const { return size_; }
  // Valid once `open` has succeeded.
  const PackedWeights& weights() const { return weights_; }
  Status open() { return open_packed(data_, size_, &weights_); }

 private:
  std::size_t size_;
  std::uint8_t* data_;
  PackedWeights weights_{};
};

// An object that describes an opened block {layout, kind, outputChannels, depth, kernelHeight, kernelWidth, groups, byteLength} and
// keeps it alive.
Napi::Value wrap_block(Napi::Env env, std::shared_ptr<const PackedBlock> block);

// The block of such an object; throws a TypeError for any other value.
std::shared_ptr<const PackedBlock> block_argument(const Napi::Value& value, const std::string& name);

const char* layout_name(Layout layout);
// Throws a RangeError for a name that is not one of the layouts.
Layout layout_argument(const Napi::Value& value, const std::string& name);
const char* kind_name(WeightKind kind);
WeightKind kind_argument(const Napi::Value& value, const std::string& name);

}  // namespace tritforge
