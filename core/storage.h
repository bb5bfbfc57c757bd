// Storage: the memory of tensors, its reference counts, and the caching allocator behind it.
//
// It is bytes only: it knows no shapes, no dtypes, no operations. Tensors own storages; the Python binding wraps foreign
// memory (NumPy, DLPack, a mapped file, a device) in one. Everything here except `scratch` is called with the GIL held:
// counts are plain integers and the allocator has no lock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <string>

namespace flambeau {

/// One block of memory shared by any number of tensors. It is 64 bytes long and precedes the data of small blocks.
struct Storage {
    int64_t references;
    char* data;
    size_t bytes;               // what was asked for; the block behind it may be longer
    uint64_t version;           // counts writes in place
    void (*release)(void* owner);  // foreign memory: called once when the last reference goes; null: the allocator's own
    void* owner;                // foreign: the argument of `release`; own: the size class
    void* changed_at;           // whoever wrote last, for error messages; the tape's business
    bool read_only;
    bool exported;              // somebody may write to it unseen: its version says nothing
    bool watched;               // a graph node kept this value: writers leave their source line in `changed_at`
};
static_assert(sizeof(Storage) == 64);

/// Thrown when the system refuses memory even after the cache was given back; nanobind makes it a MemoryError.
class OutOfMemory : public std::bad_alloc {
  public:
    explicit OutOfMemory(size_t bytes);
    const char* what() const noexcept override { return message_.c_str(); }

  private:
    std::string message_;
};

/// Uninitialised memory, aligned to 64 bytes, with one reference. Zero bytes are allowed.
Storage* storage_allocate(size_t bytes);

/// Memory that somebody else owns; `release(owner)` is called when the last reference goes (`release` may be null).
Storage* storage_foreign(char* data, size_t bytes, void (*release)(void*), void* owner, bool read_only);

/// Lets go of a `changed_at`; set by the Python binding.
extern void (*forget_writer)(void* writer);

/// Called by `release` only.
void storage_destroy(Storage* storage) noexcept;

inline void retain(Storage* storage) noexcept { ++storage->references; }
inline void release(Storage* storage) noexcept {
    if (--storage->references == 0) storage_destroy(storage);
}

struct MemoryStatistics {
    size_t allocated;      // bytes in blocks that are in use
    size_t peak;           // the most `allocated` has been since the start or `reset_peak_memory`
    size_t reserved;       // bytes taken from the system, in use or cached
    size_t peak_reserved;
    size_t limit;          // how many bytes may stay cached
    uint64_t allocations;  // calls of storage_allocate
    uint64_t hits;         // ... that a cached block answered
    uint64_t misses;       // ... that took fresh memory
    uint64_t blocks;       // blocks in use
};
MemoryStatistics memory_statistics() noexcept;
void reset_peak_memory() noexcept;

/// Gives every cached byte that can be given back to the system.
void empty_cache() noexcept;

/// How many unused bytes may stay cached; the default is a quarter of the memory of the machine or container.
void set_cache_limit(size_t bytes) noexcept;

/// This thread's own working memory, aligned to 64 bytes: it grows, is never cleared, and is valid until the next call
/// with the same slot on the same thread. Slots let callers nest: 0 kernels, 1 to 5 contractions, 6 attention, 7 convolutions, 8 plans.
constexpr int SCRATCH_SLOTS = 9;
char* scratch(size_t bytes, int slot = 0);

}  // namespace flambeau
