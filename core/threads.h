// Threads: one pool for the process, and `parallel_for` over numbered tasks.
//
// It decides where tasks run, never how work is split: callers split by size, so that results are the same bits at any
// thread count. Used by the kernel dispatcher and by contractions. Tasks must not touch Python.
#pragma once

#include <cstdint>
#include <string>
#include <type_traits>

namespace flambeau {

/// How many threads take part, the caller included.
int thread_count();

/// At least 1. Throws std::invalid_argument for less, std::logic_error inside a task.
void set_thread_count(int count);

/// The CPUs this process may use: affinity, physical cores, and the container's quota; at least 1.
int available_cpus();

/// The text of a control-group file of this process ("cpu", "cpu.max"), or "" where there is none.
std::string container_setting(const char* controller, const char* name);

/// True inside a task of `parallel_for`.
bool inside_parallel() noexcept;

void parallel_run(int64_t tasks, void (*call)(void* context, int64_t task), void* context);

/// Calls `body(task)` for every task in [0, tasks), in any order, on any threads; returns when all are done.
/// The caller takes part. A nested call, or one while another thread uses the pool, runs in the caller alone. The first
/// exception of a task is thrown again here; tasks that had not started by then are skipped.
template <class Body>
void parallel_for(int64_t tasks, Body&& body) {
    using Plain = std::remove_reference_t<Body>;
    parallel_run(
        tasks, [](void* context, int64_t task) { (*static_cast<Plain*>(context))(task); },
        const_cast<void*>(static_cast<const void*>(&body)));
}

}  // namespace flambeau
