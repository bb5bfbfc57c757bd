// The caching allocator: size classes cut from slabs for blocks up to 1 MiB, mapped blocks with best fit above.
//
// Fresh memory is slow: the system clears every page on its first touch, which costs more than most kernels. So blocks
// are kept and given out again. Small blocks are popped from and pushed onto the free list of their class (quarter
// steps between powers of two, at most 25% waste); their Storage lies right before the data, so one pop yields both.
// Large blocks are mapped alone on 2 MiB boundaries, so that the system can back them with huge pages, and the least
// recently used are given back when more is cached than the limit allows.

#include "storage.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <map>
#include <unordered_map>

#include "threads.h"

namespace flambeau {
namespace {

constexpr size_t UNIT = 64;
constexpr size_t SMALL_LIMIT = size_t{1} << 20;
constexpr size_t HUGE_PAGE = size_t{2} << 20;
constexpr size_t SLAB = size_t{8} << 20;
constexpr size_t LARGE_STEP = size_t{64} << 10;
constexpr size_t CLASSES = 52;
constexpr uintptr_t LARGE = CLASSES;

/// The class of a data size: multiples of 64 up to 512 bytes, then four classes between powers of two.
inline size_t class_of(size_t bytes) {
    size_t last = bytes == 0 ? 0 : (bytes - 1) / UNIT;
    if (last < 8) return last;
    size_t exponent = std::bit_width(last) - 1;
    return 8 + (exponent - 3) * 4 + ((last >> (exponent - 2)) & 3);
}

constexpr size_t class_bytes(size_t index) {
    if (index < 8) return (index + 1) * UNIT;
    size_t exponent = (index - 8) / 4 + 3;
    return ((5 + (index - 8) % 4) << (exponent - 2)) * UNIT;
}
static_assert(class_bytes(CLASSES - 1) == SMALL_LIMIT);

/// Lies at the start of a large block, before its Storage. A cached block is also in the list of recent use.
struct LargeBlock {
    size_t bytes;  // the whole mapping
    LargeBlock *older, *newer;
    std::multimap<size_t, LargeBlock*>::iterator place;
};

constexpr size_t LARGE_HEAD = 2 * UNIT;
static_assert(sizeof(LargeBlock) <= UNIT);
/// Large blocks start at different distances from their page, or operands of one kernel would compete for cache sets.
constexpr size_t COLOURS = 8, COLOUR_STEP = 5 * UNIT;

struct Allocator {
    Storage* free[CLASSES] = {};  // linked through `owner`
    char *slab_next = nullptr, *slab_end = nullptr;
    std::unordered_map<uintptr_t, size_t> slabs;  // slab -> blocks cut from it
    std::multimap<size_t, LargeBlock*> large;
    LargeBlock *oldest = nullptr, *newest = nullptr;
    size_t colour = 0;
    size_t trim_at = 0;  // the cached bytes at which giving back is tried next
    MemoryStatistics statistics = {};
};

// The memory of the machine, or of the container.
size_t machine_bytes() {
    static const size_t bytes = [] {
        size_t total = static_cast<size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<size_t>(sysconf(_SC_PAGESIZE));
        for (const char* name : {"memory.max", "memory.limit_in_bytes"}) {
            std::string text = container_setting("memory", name);
            if (text.empty() || text[0] < '0' || text[0] > '9') continue;
            total = std::min<unsigned long long>(total, std::strtoull(text.c_str(), nullptr, 10));
        }
        return total;
    }();
    return bytes;
}

Allocator& make_allocator() {
    // Never destroyed: tensors of a dying interpreter may outlive every static object.
    auto* made = new Allocator;
    made->statistics.limit = made->trim_at = machine_bytes() / 4;
    return *made;
}
Allocator& state = make_allocator();

inline size_t cached_bytes() { return state.statistics.reserved - state.statistics.allocated; }

/// Maps `bytes` on a boundary of `alignment`; null if the system refuses.
char* map_aligned(size_t bytes, size_t alignment) {
    void* mapped =
        mmap(nullptr, bytes + alignment, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED) return nullptr;
    auto start = reinterpret_cast<uintptr_t>(mapped);
    uintptr_t aligned = (start + alignment - 1) / alignment * alignment;
    if (aligned > start) munmap(mapped, aligned - start);
    size_t behind = start + alignment - aligned;
    if (behind > 0) munmap(reinterpret_cast<void*>(aligned + bytes), behind);
#ifdef MADV_HUGEPAGE
    if (bytes >= HUGE_PAGE) madvise(reinterpret_cast<void*>(aligned), bytes, MADV_HUGEPAGE);
#endif
    return reinterpret_cast<char*>(aligned);
}

void count_reserved(size_t bytes) {
    auto& statistics = state.statistics;
    statistics.reserved += bytes;
    statistics.peak_reserved = std::max(statistics.peak_reserved, statistics.reserved);
}

/// What is in use counts by block, so that `reserved - allocated` is what is cached.
inline void count_allocated(size_t bytes) {
    auto& statistics = state.statistics;
    statistics.allocated += bytes;
    if (statistics.allocated > statistics.peak) statistics.peak = statistics.allocated;
    ++statistics.blocks;
    ++statistics.allocations;
}

void unlink(LargeBlock* block) {
    (block->older ? block->older->newer : state.oldest) = block->newer;
    (block->newer ? block->newer->older : state.newest) = block->older;
    state.large.erase(block->place);
}

void give_back(LargeBlock* block) {
    unlink(block);
    state.statistics.reserved -= block->bytes;
    munmap(static_cast<void*>(block), block->bytes);
}

/// Gives back the slabs whose blocks are all free. Counting is done here, so that the fast path need not.
void give_back_slabs() {
    std::unordered_map<uintptr_t, size_t> unused;
    auto slab_of = [](Storage* block) { return reinterpret_cast<uintptr_t>(block) / SLAB * SLAB; };
    for (Storage* head : state.free)
        for (Storage* block = head; block; block = static_cast<Storage*>(block->owner)) ++unused[slab_of(block)];
    auto all_free = [&](uintptr_t slab) {
        auto found = unused.find(slab);
        return found != unused.end() && found->second == state.slabs[slab];
    };
    for (Storage*& head : state.free) {
        Storage** link = &head;
        while (Storage* block = *link) {
            if (all_free(slab_of(block)))
                *link = static_cast<Storage*>(block->owner);
            else
                link = reinterpret_cast<Storage**>(&block->owner);
        }
    }
    for (auto slab = state.slabs.begin(); slab != state.slabs.end();) {
        auto found = unused.find(slab->first);
        if (found == unused.end() || found->second != slab->second) {
            ++slab;
            continue;
        }
        auto start = reinterpret_cast<char*>(slab->first);
        if (state.slab_next > start && state.slab_next <= start + SLAB) state.slab_next = state.slab_end = nullptr;
        munmap(start, SLAB);
        state.statistics.reserved -= SLAB;
        slab = state.slabs.erase(slab);
    }
}

/// Brings the cache back under its limit after a release; rare, so the caller only compares.
__attribute__((noinline)) void trim() noexcept {
    while (state.oldest && cached_bytes() > state.statistics.limit) give_back(state.oldest);
    if (cached_bytes() > state.statistics.limit) give_back_slabs();
    // Blocks in use can pin slabs: then wait for the cache to grow before the lists are walked again.
    state.trim_at = std::max(state.statistics.limit, cached_bytes() + 8 * SLAB);
    if (cached_bytes() <= state.statistics.limit) state.trim_at = state.statistics.limit;
}

[[noreturn]] __attribute__((noinline)) void refuse(size_t bytes) { throw OutOfMemory(bytes); }

inline Storage* fill(void* place, char* data, size_t bytes, uintptr_t kind) {
    auto* storage = static_cast<Storage*>(place);
    *storage = {1, data, bytes, 0, nullptr, reinterpret_cast<void*>(kind), nullptr, false, false, false};
    return storage;
}

__attribute__((noinline)) Storage* cut_small(size_t index, size_t bytes) {
    size_t whole = sizeof(Storage) + class_bytes(index);
    if (static_cast<size_t>(state.slab_end - state.slab_next) < whole) {
        char* slab = map_aligned(SLAB, SLAB);
        if (!slab) {
            empty_cache();
            slab = map_aligned(SLAB, SLAB);
        }
        if (!slab) refuse(bytes);
        state.slabs[reinterpret_cast<uintptr_t>(slab)] = 0;
        state.slab_next = slab;
        state.slab_end = slab + SLAB;
        count_reserved(SLAB);
    }
    char* block = state.slab_next;
    state.slab_next += whole;
    ++state.slabs[reinterpret_cast<uintptr_t>(block) / SLAB * SLAB];
    ++state.statistics.misses;
    count_allocated(whole);
    return fill(block, block + sizeof(Storage), bytes, index);
}

Storage* start_large(LargeBlock* block, size_t bytes) {
    char* base = reinterpret_cast<char*>(block);
    count_allocated(block->bytes);
    size_t colour = state.colour++ % COLOURS;
    return fill(base + UNIT, base + LARGE_HEAD + colour * COLOUR_STEP, bytes, LARGE);
}

__attribute__((noinline)) Storage* allocate_large(size_t bytes) {
    constexpr size_t EXTRA = LARGE_HEAD + (COLOURS - 1) * COLOUR_STEP + UNIT;  // kernels may read a vector past the end
    if (bytes > machine_bytes()) refuse(bytes);  // the system would promise it and kill the process when it is used
    size_t whole = (bytes + EXTRA + LARGE_STEP - 1) / LARGE_STEP * LARGE_STEP;
    auto found = state.large.lower_bound(whole);
    if (found != state.large.end() && found->first <= whole + whole / 4) {
        LargeBlock* block = found->second;
        unlink(block);
        ++state.statistics.hits;
        return start_large(block, bytes);
    }
    char* mapped = map_aligned(whole, HUGE_PAGE);
    if (!mapped) {
        empty_cache();
        mapped = map_aligned(whole, HUGE_PAGE);
    }
    if (!mapped) refuse(bytes);
    count_reserved(whole);
    ++state.statistics.misses;
    auto* block = new (mapped) LargeBlock{whole, nullptr, nullptr, {}};
    return start_large(block, bytes);
}

void recycle_large(Storage* storage) {
    auto* block = reinterpret_cast<LargeBlock*>(reinterpret_cast<char*>(storage) - UNIT);
    state.statistics.allocated -= block->bytes;
    --state.statistics.blocks;
    block->place = state.large.emplace(block->bytes, block);
    block->older = state.newest;
    block->newer = nullptr;
    (state.newest ? state.newest->newer : state.oldest) = block;
    state.newest = block;
    while (state.oldest && cached_bytes() > state.statistics.limit) give_back(state.oldest);  // these go one by one
    if (cached_bytes() > state.trim_at) trim();
}

inline void recycle_small(Storage* storage, size_t index) {
    state.statistics.allocated -= sizeof(Storage) + class_bytes(index);
    --state.statistics.blocks;
    storage->owner = state.free[index];
    state.free[index] = storage;
    if (cached_bytes() > state.trim_at) [[unlikely]] trim();
}

/// A scratch buffer goes with its thread.
struct Scratch {
    char* data = nullptr;
    size_t bytes = 0;
    ~Scratch() {
        if (data) munmap(data, bytes);
    }
};

}  // namespace

OutOfMemory::OutOfMemory(size_t bytes) {
    auto mebibytes = [](size_t n) { return std::to_string((n + (1 << 19)) >> 20) + " MiB"; };
    message_ = "out of memory: asked for " + std::to_string(bytes) + " bytes (" + mebibytes(bytes) + "), tensors hold " +
               mebibytes(state.statistics.allocated) +
               "; free tensors you no longer need, use a smaller batch, or a smaller dtype";
}

Storage* storage_allocate(size_t bytes) {
    if (bytes > SMALL_LIMIT) [[unlikely]] return allocate_large(bytes);
    size_t index = class_of(bytes);
    Storage* storage = state.free[index];
    if (!storage) [[unlikely]] return cut_small(index, bytes);
    state.free[index] = static_cast<Storage*>(storage->owner);
    ++state.statistics.hits;
    count_allocated(sizeof(Storage) + class_bytes(index));
    return fill(storage, reinterpret_cast<char*>(storage + 1), bytes, index);
}

Storage* storage_foreign(char* data, size_t bytes, void (*release)(void*), void* owner, bool read_only) {
    Storage* storage = storage_allocate(0);
    storage->data = data;
    storage->bytes = bytes;
    storage->exported = true;
    storage->release = release ? release : [](void*) {};
    storage->owner = owner;
    storage->read_only = read_only;
    return storage;
}

void (*forget_writer)(void*) = nullptr;

void storage_destroy(Storage* storage) noexcept {
    if (storage->changed_at) [[unlikely]] forget_writer(storage->changed_at);
    if (storage->release) [[unlikely]] {
        storage->release(storage->owner);
        return recycle_small(storage, 0);
    }
    auto kind = reinterpret_cast<uintptr_t>(storage->owner);
    if (kind == LARGE) return recycle_large(storage);
    recycle_small(storage, kind);
}

MemoryStatistics memory_statistics() noexcept { return state.statistics; }

void reset_peak_memory() noexcept {
    state.statistics.peak = state.statistics.allocated;
    state.statistics.peak_reserved = state.statistics.reserved;
}

void empty_cache() noexcept {
    while (state.oldest) give_back(state.oldest);
    give_back_slabs();
}

void set_cache_limit(size_t bytes) noexcept {
    state.statistics.limit = state.trim_at = bytes;
    if (cached_bytes() > bytes) trim();
}

char* scratch(size_t bytes, int slot) {
    thread_local Scratch buffers[SCRATCH_SLOTS];
    Scratch& buffer = buffers[slot];
    if (bytes > buffer.bytes) [[unlikely]] {
        size_t grown = std::max(bytes, buffer.bytes + buffer.bytes / 2);
        grown = (grown + LARGE_STEP - 1) / LARGE_STEP * LARGE_STEP;
        if (grown > HUGE_PAGE / 2) grown = (grown + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
        if (buffer.data) munmap(buffer.data, buffer.bytes);
        buffer.data = nullptr;
        buffer.bytes = 0;
        char* mapped = map_aligned(grown, grown >= HUGE_PAGE ? HUGE_PAGE : 4096);
        if (!mapped) refuse(bytes);
        buffer.data = mapped;
        buffer.bytes = grown;
    }
    return buffer.data;
}

}  // namespace flambeau
