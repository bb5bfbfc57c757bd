// The thread pool: workers that watch one word.
//
// A job is published by writing its fields and then `ticket`, which holds the job's number and how many of its tasks
// are not yet taken. A thread takes a task by counting that word down with compare-and-swap. The exchange succeeds only
// while the word still names the same job, and a job's fields are not rewritten before all of its tasks are finished;
// so a worker that comes late can never mix two jobs, and nobody waits for workers that have nothing to do.
//
// Idle threads spin for some tens of microseconds (the next kernel is often near), then sleep in the kernel. Who wakes
// one first forbids it the CPU it runs on itself: guests of a hypervisor take an idle CPU for one that is held up, and
// put the woken thread behind its waker, where it would wait for milliseconds. Awake, it takes its CPUs back.

#include "threads.h"

#include <pthread.h>
#ifdef __linux__
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <deque>
#include <exception>
#include <fstream>
#include <limits>
#include <mutex>
#include <set>
#include <sstream>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

namespace flambeau {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto SPIN = std::chrono::microseconds(40);

inline void pause() {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("isb");
#else
    std::this_thread::yield();
#endif
}

/// Spins until `done()` or until the time is over; says whether it was done.
template <class Done>
inline bool spin_until(Done done) {
    auto end = Clock::now() + SPIN;
    do {
        for (int i = 0; i < 32; ++i) {
            if (done()) return true;
            pause();
        }
    } while (Clock::now() < end);
    return done();
}

thread_local bool in_task = false;

/// Where a sleeping thread may wake up.
class Cpus {
  public:
    /// The thread itself, before it sleeps.
    void sleeps() {
        std::lock_guard guard(lock);
        asleep = true;
#ifdef __linux__
        thread = pid_t(syscall(SYS_gettid));  // gettid() is younger than some systems
#endif
    }
    /// The thread itself, awake again.
    void wakes();
    /// Another thread, before it wakes this one: not on its own CPU.
    void avoid_this_one();

  private:
    std::mutex lock;
    bool asleep = false;
#ifdef __linux__
    bool narrowed = false;  // its CPUs are fewer than `allowed`
    pid_t thread = 0;
    cpu_set_t allowed;
#endif
};

void Cpus::wakes() {
    std::lock_guard guard(lock);
    asleep = false;
#ifdef __linux__
    if (std::exchange(narrowed, false)) sched_setaffinity(0, sizeof allowed, &allowed);
#endif
}

void Cpus::avoid_this_one() {
#ifdef __linux__
    std::lock_guard guard(lock);
    const int here = sched_getcpu();
    if (!asleep || here < 0 || here >= CPU_SETSIZE) return;
    if (!narrowed && sched_getaffinity(thread, sizeof allowed, &allowed) != 0) return;
    cpu_set_t others = allowed;
    CPU_CLR(here, &others);
    if (CPU_COUNT(&others) > 0 && sched_setaffinity(thread, sizeof others, &others) == 0) narrowed = true;
#endif
}

struct Pool {
    // The job. The fields are atomic only because a late worker may read them while they are rewritten.
    alignas(64) std::atomic<uint64_t> ticket{0};  // job number << 32 | tasks not yet taken
    alignas(64) std::atomic<uint32_t> signal{0};  // changes with every job; what sleeping workers wait on
    std::atomic<int> sleepers{0};
    alignas(64) std::atomic<uint32_t> unfinished{0};
    std::atomic<bool> caller_sleeps{false};
    std::atomic<bool> failed{false};
    alignas(64) std::atomic<void (*)(void*, int64_t)> call{nullptr};
    std::atomic<void*> context{nullptr};
    std::atomic<int64_t> first{0}, count{0};
    std::exception_ptr error;
    std::mutex error_lock;

    std::mutex in_use;
    std::atomic<bool> stopping{false};
    bool spins;
    std::vector<std::thread> workers;
    std::deque<Cpus> worker_cpus;
    Cpus caller_cpus;

    explicit Pool(int threads) : spins(threads <= available_cpus()) {
        for (int i = 1; i < threads; ++i) workers.emplace_back([this, cpus = &worker_cpus.emplace_back()] { work(*cpus); });
    }

    void stop() {
        stopping.store(true);
        signal.fetch_add(1);
        signal.notify_all();
        for (auto& worker : workers) worker.join();
    }

    /// Takes and runs tasks until none is left.
    void take_tasks() {
        uint64_t seen = ticket.load(std::memory_order_acquire);
        while ((seen & 0xffffffff) != 0) {
            auto* run = call.load(std::memory_order_relaxed);
            void* argument = context.load(std::memory_order_relaxed);
            int64_t task = first.load(std::memory_order_relaxed) + count.load(std::memory_order_relaxed) -
                           static_cast<int64_t>(seen & 0xffffffff);
            std::atomic_thread_fence(std::memory_order_acquire);
            if (!ticket.compare_exchange_weak(seen, seen - 1, std::memory_order_acq_rel, std::memory_order_acquire))
                continue;
            if (!failed.load(std::memory_order_relaxed)) {
                in_task = true;
                try {
                    run(argument, task);
                } catch (...) {
                    std::lock_guard guard(error_lock);
                    if (!error) error = std::current_exception();
                    failed.store(true, std::memory_order_relaxed);
                }
                in_task = false;
            }
            if (unfinished.fetch_sub(1, std::memory_order_seq_cst) == 1 &&
                caller_sleeps.load(std::memory_order_seq_cst)) {
                if (spins) caller_cpus.avoid_this_one();
                unfinished.notify_all();
            }
            seen = ticket.load(std::memory_order_acquire);
        }
    }

    void work(Cpus& cpus) {
        uint32_t heard = signal.load(std::memory_order_acquire);
        while (!stopping.load(std::memory_order_relaxed)) {
            take_tasks();
            auto news = [&] { return signal.load(std::memory_order_acquire) != heard; };
            if (!(spins && spin_until(news))) {
                cpus.sleeps();
                sleepers.fetch_add(1, std::memory_order_seq_cst);
                signal.wait(heard, std::memory_order_seq_cst);
                sleepers.fetch_sub(1, std::memory_order_relaxed);
                cpus.wakes();
            }
            heard = signal.load(std::memory_order_acquire);
        }
    }

    void run(int64_t tasks, void (*body)(void*, int64_t), void* argument) {
        constexpr int64_t MOST = int64_t{1} << 31;
        for (int64_t start = 0; start < tasks; start += MOST) run_some(start, std::min(MOST, tasks - start), body, argument);
    }

    void run_some(int64_t start, int64_t tasks, void (*body)(void*, int64_t), void* argument) {
        if (spins && sleepers.load(std::memory_order_relaxed) > 0)
            for (Cpus& cpus : worker_cpus) cpus.avoid_this_one();
        call.store(body, std::memory_order_relaxed);
        context.store(argument, std::memory_order_relaxed);
        first.store(start, std::memory_order_relaxed);
        count.store(tasks, std::memory_order_relaxed);
        failed.store(false, std::memory_order_relaxed);
        unfinished.store(static_cast<uint32_t>(tasks), std::memory_order_relaxed);
        uint64_t number = (ticket.load(std::memory_order_relaxed) >> 32) + 1;
        ticket.store(number << 32 | static_cast<uint64_t>(tasks), std::memory_order_release);
        signal.fetch_add(1, std::memory_order_seq_cst);
        int sleeping = sleepers.load(std::memory_order_seq_cst);
        if (sleeping > 0) {
            if (tasks - 1 >= sleeping)
                signal.notify_all();
            else
                for (int64_t i = 0; i < tasks - 1; ++i) signal.notify_one();
        }
        take_tasks();
        auto done = [&] { return unfinished.load(std::memory_order_acquire) == 0; };
        if (!done() && !(spins && spin_until(done))) {
            caller_cpus.sleeps();
            caller_sleeps.store(true, std::memory_order_seq_cst);
            while (uint32_t left = unfinished.load(std::memory_order_seq_cst))
                unfinished.wait(left, std::memory_order_seq_cst);
            caller_sleeps.store(false, std::memory_order_relaxed);
            caller_cpus.wakes();
        }
        if (error) std::rethrow_exception(std::exchange(error, nullptr));
    }
};

int configured = 0;  // 0: not asked yet
Pool* pool = nullptr;
std::mutex* settings = new std::mutex;

void after_fork_in_child() {
    // Only the forking thread lives on. The old pool's locks and threads belong to nobody: leave them.
    pool = nullptr;
    settings = new std::mutex;
    in_task = false;
}

int default_thread_count() {
    if (const char* text = std::getenv("FLAMBEAU_NUM_THREADS")) {
        int wanted = std::atoi(text);
        if (wanted >= 1) return std::min(wanted, 1024);
    }
    return available_cpus();
}

/// The pool, made on first use; null if there is one thread only.
Pool* current_pool() {
    std::lock_guard guard(*settings);
    if (configured == 0) configured = default_thread_count();
    if (configured > 1 && !pool) {
        static bool registered = (pthread_atfork(nullptr, nullptr, after_fork_in_child), true);
        (void)registered;
        pool = new Pool(configured);
    }
    return pool;
}

std::string first_line(const std::string& path) {
    std::ifstream file(path);
    std::string line;
    std::getline(file, line);
    return line;
}

/// CPUs the quota allows; infinity without one.
double quota_cpus() {
    constexpr double NONE = std::numeric_limits<double>::infinity();
    std::istringstream both(container_setting("cpu", "cpu.max"));
    double quota = 0, period = 0;
    if (both >> quota >> period) return quota > 0 && period > 0 ? quota / period : NONE;
    quota = std::atof(container_setting("cpu", "cpu.cfs_quota_us").c_str());
    period = std::atof(container_setting("cpu", "cpu.cfs_period_us").c_str());
    return quota > 0 && period > 0 ? quota / period : NONE;
}

int count_cpus() {
    int cpus = std::max(1u, std::thread::hardware_concurrency());
#ifdef __linux__
    cpu_set_t mask;
    if (sched_getaffinity(0, sizeof mask, &mask) == 0) {
        std::set<std::string> cores;  // hyper-threads of one core share its arithmetic units: count the core once
        int allowed = 0;
        for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
            if (!CPU_ISSET(cpu, &mask)) continue;
            ++allowed;
            std::string name = "cpu" + std::to_string(cpu);
            std::string siblings = first_line("/sys/devices/system/cpu/" + name + "/topology/thread_siblings_list");
            cores.insert(siblings.empty() ? name : siblings);
        }
        if (allowed > 0) cpus = static_cast<int>(cores.size());
    }
#endif
    double quota = quota_cpus();
    if (quota < cpus) cpus = std::max(1, static_cast<int>(std::ceil(quota)));
    return cpus;
}

}  // namespace

std::string container_setting(const char* controller, const char* name) {
    // Lines are "number:controllers:path"; version 2 has one line "0::path". A container often sees its own group at
    // the root of the mount, so that is tried after the path.
    std::ifstream groups("/proc/self/cgroup");
    std::string line;
    while (std::getline(groups, line)) {
        size_t one = line.find(':'), two = line.find(':', one + 1);
        if (one == std::string::npos || two == std::string::npos) continue;
        std::string controllers = "," + line.substr(one + 1, two - one - 1) + ",", path = line.substr(two + 1);
        bool version2 = controllers == ",,";
        if (!version2 && controllers.find("," + std::string(controller) + ",") == std::string::npos) continue;
        std::string root = version2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/" + std::string(controller);
        for (const std::string& folder : {root + path, root}) {
            std::string text = first_line(folder + "/" + name);
            if (!text.empty()) return text;
        }
    }
    return "";
}

int available_cpus() {
    static const int cpus = count_cpus();
    return cpus;
}

bool inside_parallel() noexcept { return in_task; }

int thread_count() {
    if (configured == 0) {
        std::lock_guard guard(*settings);
        if (configured == 0) configured = default_thread_count();
    }
    return configured;
}

void set_thread_count(int count) {
    if (count < 1) throw std::invalid_argument("set_num_threads: expected at least 1, got " + std::to_string(count));
    if (in_task) throw std::logic_error("set_num_threads: called inside a parallel region");
    std::lock_guard guard(*settings);
    if (count == configured) return;
    configured = count;
    if (Pool* old = std::exchange(pool, nullptr)) {
        { std::lock_guard wait_for_job(old->in_use); }
        old->stop();
        // A thread about to use the old pool may still hold its address: it then runs all tasks itself. The few bytes
        // stay.
    }
}

void parallel_run(int64_t tasks, void (*call)(void* context, int64_t task), void* context) {
    if (tasks <= 0) return;
    if (tasks > 1 && !in_task && thread_count() > 1) {
        Pool* shared = current_pool();
        std::unique_lock lock(shared->in_use, std::try_to_lock);
        if (lock.owns_lock()) return shared->run(tasks, call, context);
    }
    for (int64_t task = 0; task < tasks; ++task) call(context, task);
}

}  // namespace flambeau
