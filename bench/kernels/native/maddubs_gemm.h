// The classic int8 matrix product of AVX2, as a baseline for kernels that are forced to AVX2. Here without includes of the
// standard library that would compile inline functions for AVX2.
#pragma once

#include <cstddef>
#include <cstdint>

namespace bench {

// Bytes of the packed weights of a [K, N] matrix.
std::size_t maddubs_packed_bytes(std::size_t k, std::size_t n);

// weights: [N, K], each −64 … 64, so that no sum of two products leaves int16. packed: aligned to 32 bytes.
void maddubs_pack(const std::int8_t* weights, std::size_t k, std::size_t n, std::int8_t* packed);

// c [M, N] = a [M, K] · weights. K a multiple of 4, N of 16.
void u8_s32_s8_gemm_4x16c4__avx2_maddubs(const std::uint8_t* a, const std::int8_t* packed, std::size_t m, std::size_t k,
                                         std::size_t n, std::int32_t* c);

}  // namespace bench
