// Machine code: see machine_code.h. Images share arenas; an arena is one piece of memory seen through two mappings, one to
// write and one to run. Where the system has no such memory, an image gets pages of its own, written before they may run.
#include "machine_code.h"

#include <cerrno>
#include <cstring>
#include <mutex>
#include <stdexcept>
#include <string>

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__APPLE__)
#include <libkern/OSCacheControl.h>
#endif

namespace flambeau {
namespace {

#if defined(__aarch64__) || defined(__arm64__)
constexpr size_t kAlignment = 4096;  // ADRP addresses constants relative to pages
#else
constexpr size_t kAlignment = 64;
#endif
constexpr size_t kArenaBytes = size_t{1} << 20;

struct Arena {
    char* writable = nullptr;
    char* executable = nullptr;
    size_t size = 0;
    size_t used = 0;
};

Arena arena;
bool shared_refused = false;
std::mutex mutex;

size_t round_up(size_t value, size_t to) { return (value + to - 1) / to * to; }

[[noreturn]] void refuse(const char* what) {
    throw std::runtime_error(std::string("compile: the system refused memory for machine code (") + what + ": " +
                             std::strerror(errno) + "); a security policy may forbid it");
}

void flush(char* begin, size_t size) {
#if defined(__APPLE__)
    sys_icache_invalidate(begin, size);
#else
    __builtin___clear_cache(begin, begin + size);
#endif
}

#if defined(__linux__)
// Fills in `result`; false where the kernel or its policy does not allow memory with two views.
bool map_arena(size_t size, Arena& result) {
    int file = memfd_create("flambeau-kernels", MFD_CLOEXEC);
    if (file < 0) return false;
    void* writable = MAP_FAILED;
    void* executable = MAP_FAILED;
    if (ftruncate(file, static_cast<off_t>(size)) == 0) {
        writable = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        executable = mmap(nullptr, size, PROT_READ | PROT_EXEC, MAP_SHARED, file, 0);
    }
    close(file);
    if (writable == MAP_FAILED || executable == MAP_FAILED) {
        if (writable != MAP_FAILED) munmap(writable, size);
        if (executable != MAP_FAILED) munmap(executable, size);
        return false;
    }
    result = Arena{static_cast<char*>(writable), static_cast<char*>(executable), size, 0};
    return true;
}

// Parent and child see the same arena after a fork and would write over each other's kernels: the child begins a new
// one, and keeps running what is already in the old. The lock is held across the fork so that its state is whole.
void before_fork() { mutex.lock(); }
void after_fork_in_parent() { mutex.unlock(); }
void after_fork_in_child() {
    arena = Arena{};
    mutex.unlock();
}
#endif

char* load_alone(const char* bytes, size_t size) {
    size_t length = round_up(size, static_cast<size_t>(sysconf(_SC_PAGESIZE)));
    void* memory = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) refuse("mmap");
    std::memcpy(memory, bytes, size);
    if (mprotect(memory, length, PROT_READ | PROT_EXEC) != 0) {
        int error = errno;
        munmap(memory, length);
        errno = error;
        refuse("mprotect");
    }
    flush(static_cast<char*>(memory), size);
    return static_cast<char*>(memory);
}

}  // namespace

uint64_t load_machine_code(const char* bytes, size_t size) {
    if (size == 0) throw std::runtime_error("compile: the machine-code image is empty");
    std::lock_guard<std::mutex> lock(mutex);
#if defined(__linux__)
    static bool watching = pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child) == 0;
    if (watching && !shared_refused) {
        size_t start = round_up(arena.used, kAlignment);
        if (arena.executable == nullptr || start + size > arena.size) {
            // What is left of the old arena is never reused; its kernels live on.
            size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
            if (!map_arena(round_up(size > kArenaBytes ? size : kArenaBytes, page), arena)) shared_refused = true;
            start = 0;
        }
        if (!shared_refused) {
            std::memcpy(arena.writable + start, bytes, size);
            arena.used = start + size;
            flush(arena.executable + start, size);
            return reinterpret_cast<uint64_t>(arena.executable + start);
        }
    }
#endif
    return reinterpret_cast<uint64_t>(load_alone(bytes, size));
}

}  // namespace flambeau
