// Element types of tensors: their names, as onnxruntime-node and our TypeScript have them, and their sizes.
#pragma once

#include <cstddef>

#include "ort/ort_api.h"

namespace tritforge::ort {

struct ElementTypeInfo {
  ElementType type;
  const char* name;
  std::size_t bytes;  // of an element; 0 where tensors of this type cannot cross to JavaScript
};

inline constexpr ElementTypeInfo kElementTypes[] = {
    {ElementType::float32, "float32", 4}, {ElementType::uint8, "uint8", 1},      {ElementType::int8, "int8", 1},
    {ElementType::uint16, "uint16", 2},   {ElementType::int16, "int16", 2},      {ElementType::int32, "int32", 4},
    {ElementType::int64, "int64", 8},     {ElementType::string, "string", 0},    {ElementType::boolean, "bool", 1},
    {ElementType::float16, "float16", 2}, {ElementType::float64, "float64", 8},  {ElementType::uint32, "uint32", 4},
    {ElementType::uint64, "uint64", 8},   {ElementType::bfloat16, "bfloat16", 0}};

inline constexpr ElementTypeInfo kOtherElementType{ElementType::undefined, "undefined", 0};

constexpr const ElementTypeInfo& element_type_info(ElementType type) {
  for (const ElementTypeInfo& info : kElementTypes) {
    if (info.type == type) return info;
  }
  return kOtherElementType;
}

}  // namespace tritforge::ort
