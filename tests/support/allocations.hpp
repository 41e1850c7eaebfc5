#pragma once

/// \file
/// Counts allocations. To be included first, and by one file of a program.

// Lets a test forbid Eigen to allocate, in builds without assertions too.
#include <stdexcept>
#define EIGEN_RUNTIME_NO_MALLOC
#define eigen_assert(condition) \
  if (!(condition)) throw std::logic_error(#condition)

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MGDL_TEST_SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define MGDL_TEST_SANITIZED
#endif
#endif

#include <Eigen/Core>
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace mgdl::test {

inline std::atomic<long> allocations{0};
#ifdef MGDL_TEST_SANITIZED
inline constexpr bool counts_new = false;
#else
inline constexpr bool counts_new = true;
#endif

}  // namespace mgdl::test

// What the standard library and plain `new` allocate. Eigen allocates by malloc, which it can be
// forbidden to do. Sanitizers need `new` for themselves.
#ifndef MGDL_TEST_SANITIZED
namespace {

void* counted(std::size_t size, std::size_t alignment) {
  ++mgdl::test::allocations;
  const std::size_t whole = (size + alignment - 1) / alignment * alignment;
  void* memory = std::aligned_alloc(alignment, whole > 0 ? whole : alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

// Not inlined: the compiler would see memory from `new` go to free and warn.
[[gnu::noinline]] void release(void* memory) noexcept { std::free(memory); }

}  // namespace

void* operator new(std::size_t size) { return counted(size, alignof(std::max_align_t)); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  return counted(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept { release(memory); }
void operator delete(void* memory, std::size_t) noexcept { release(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { release(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { release(memory); }
#endif

namespace mgdl::test {

/// Runs `call` with Eigen forbidden to allocate and counts what is allocated by `new`.
template <class Call>
long allocations_of(const Call& call) {
  struct Guard {
    Guard() { Eigen::internal::set_is_malloc_allowed(false); }
    ~Guard() { Eigen::internal::set_is_malloc_allowed(true); }
  } const guard;
  const long before = allocations;
  call();
  return allocations - before;
}

}  // namespace mgdl::test
