// Machine code: puts finished, position-independent images of kernels where the CPU may run them.
//
// It is not a linker and knows no formats: images come from flambeau/compiler/jit.py or the disk cache, complete. Memory is
// never writable and executable through one address. Called by the bindings when a kernel is compiled or read from disk.
#pragma once

#include <cstddef>
#include <cstdint>

namespace flambeau {

/// Copies an image and returns the address of its first byte, aligned to 64 bytes (to 4096 where code addresses data by
/// page). It stays for the life of the process. Thread-safe. Throws std::runtime_error if the system refuses.
uint64_t load_machine_code(const char* bytes, size_t size);

}  // namespace flambeau
