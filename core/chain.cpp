// Groups of launches: which launches of a plan run together, and running them.
//
// A chain is a run of launches that go over the same rows: the products, row kernels and maps of a layer. Each block of
// rows goes through all of them before the next block begins, so what one launch writes the next finds in the cache, the
// threads meet once a chain instead of once a launch, and a value that nobody else reads never leaves the thread's own
// memory. A launch does to a row what it would do alone: the bits are eager's, at any number of threads and any blocks.
// A bundle is a run of launches that do not depend on each other, side by side on the pool.
//
// It is not: how a launch is prepared (dispatch, rows, linear fill in `Parts`), nor which steps become one kernel
// (flambeau/compiler/fuse.py). Called by python_plan.cpp.
#include <algorithm>
#include <chrono>
#include <numeric>

#include "plan.h"
#include "threads.h"

namespace flambeau {

namespace {

constexpr int kWindow = 48;            // launches a chain looks at behind its last member
constexpr int64_t kFewUnits = 16;      // a chain is cut between so many units at least
constexpr double kParallelCost = 12e3; // nanoseconds of work below which waking threads costs more than it brings
constexpr double kTaskCost = 4e3;
constexpr double kLongBlock = 16e3;    // nanoseconds of a block for which it matters that another thread has none
constexpr int64_t kBlockBytes = 3 << 18;  // what a block touches stays in the second-level cache
constexpr int64_t kBlockRows = 160;    // rows between two readings of B when a product runs alone, about
constexpr int64_t kLeastRows = 32;     // fewer rows would wait for B
constexpr double kMeeting = 20e3;      // bytes that could be moved while threads wait for each other once
constexpr int64_t kKeepRows = 512;     // a product of fewer rows may keep its packed B: packing costs 2 / rows of it
constexpr int kLocalSlot = 8;

struct Access {
    int slot;
    int64_t offset, span, gap;  // bytes over all of the leading dimension; unused bytes at the end of each step
    bool write, window;         // each step has a window of its own
};

std::vector<Access> accesses(const Launch& launch) {
    std::vector<Access> found;
    for (size_t i = 0; i < launch.places.size(); ++i) {
        const Place& p = launch.places[i];
        if (p.slot < 0) continue;
        Access a{p.slot, p.offset, 0, 0, int(i) < launch.outputs, false};
        if (launch.parts.leading && launch.parts.width[i] > 0) {
            a.window = true;
            a.span = launch.parts.leading * launch.parts.advance[i];
            a.gap = launch.parts.advance[i] - launch.parts.width[i];
        }
        found.push_back(a);
    }
    return found;
}

bool touch(const Access& a, const Access& b) {
    if (a.slot != b.slot || !(a.write || b.write)) return false;
    if (!a.window || !b.window) return true;
    return a.offset < b.offset + b.span && b.offset < a.offset + a.span;
}

// A check writes nothing and stays before what reads its memory.
bool is_check(const std::vector<Access>& a) {
    return std::none_of(a.begin(), a.end(), [](const Access& x) { return x.write; });
}

bool conflict(const std::vector<Access>& a, const std::vector<Access>& b) {
    if (is_check(a) || is_check(b))
        for (const Access& x : a)
            for (const Access& y : b)
                if (x.slot == y.slot) return true;
    for (const Access& x : a)
        for (const Access& y : b)
            if (touch(x, y)) return true;
    return false;
}

// Whether a unit of one touches what the same unit of the other touches, and nothing of other units.
bool aligned(const Access& a, const Access& b) {
    if (!a.window || !b.window || a.span != b.span) return false;
    return a.offset <= b.offset ? b.offset - a.offset <= b.gap : a.offset - b.offset <= a.gap;
}

enum class Fit { No, Unrelated, Yes };
Fit fit(const std::vector<Access>& a, const std::vector<Access>& b) {
    bool related = false;
    for (const Access& x : a)
        for (const Access& y : b) {
            if (touch(x, y)) {
                if (!aligned(x, y)) return Fit::No;
                related = true;
            } else if (x.slot == y.slot && aligned(x, y)) {
                related = true;
            }
        }
    return related ? Fit::Yes : Fit::Unrelated;
}

// What running launches block by block costs in bytes of memory traffic.
struct Traffic {
    std::vector<std::pair<int, int64_t>> moved;  // slots and the bytes of them that the launches touch
    int64_t rows = 0;
    double activations = 0, weights = 0;         // in bytes; weights are read again for every block

    void add(const Launch& launch, const std::vector<Access>& access, double* shared = nullptr) {
        for (const Access& a : access) {
            if (!a.window) continue;
            auto same = std::find_if(moved.begin(), moved.end(), [&](auto& m) { return m.first == a.slot; });
            if (same == moved.end()) {
                moved.emplace_back(a.slot, a.span);
                activations += double(a.span);
            } else if (shared) {
                *shared += double(a.span);
            }
        }
        weights += double(launch.parts.whole);
        if (launch.parts.whole) rows = std::max(rows, launch.parts.leading);
    }
    double blocks() const { return std::max({1.0, activations / double(kBlockBytes), double(rows) / double(kBlockRows)}); }
    double bytes() const { return blocks() * weights; }
};

// A product of few rows over a long sum: blocks of rows would leave threads idle that share it when it runs alone.
bool needs_all_threads(const Launch& launch) {
    const double rows = double(launch.parts.leading), blocks = rows / double(kLeastRows);
    return launch.parts.whole && thread_count() > 1 && blocks < 2 * thread_count() && launch.cost > std::max(1.0, blocks) * kLongBlock;
}

bool packs(const Launch& launch) { return launch.parts.leading && launch.parts.packed > 0; }

}  // namespace

void PlanBuilder::make_groups() {
    const size_t count = launches.size();
    std::vector<std::vector<Access>> access;
    for (const Launch& launch : launches) access.push_back(accesses(launch));
    std::vector<bool> written(slots.size(), false);
    for (const auto& each : access)
        for (const Access& a : each) written[size_t(a.slot)] = written[size_t(a.slot)] || a.write;
    auto keeps = [&](const Launch& launch) {
        const Place& b = launch.places[size_t(launch.parts.source)];
        return launch.parts.leading <= kKeepRows && b.slot >= 0 && slots[size_t(b.slot)].kind == SlotKind::Fixed && !written[size_t(b.slot)];
    };
    std::vector<bool> taken(count, false);
    std::vector<std::vector<size_t>> members;
    std::vector<Group> made;
    for (size_t i = 0; i < count; ++i) {
        if (taken[i]) continue;
        taken[i] = true;
        std::vector<size_t> chain{i}, skipped;
        Group group;
        group.units = launches[i].parts.leading;
        group.cost = launches[i].cost;
        Traffic traffic;
        traffic.add(launches[i], access[i]);
        const bool long_sum = needs_all_threads(launches[i]);
        if (long_sum) group.why = "blocks of its few rows would leave threads idle";
        if (group.units >= kFewUnits) {
            for (size_t j = i + 1; j < count && skipped.size() < kWindow; ++j) {
                if (taken[j]) continue;
                const Parts& parts = launches[j].parts;
                const int64_t units = parts.leading ? std::gcd(group.units, parts.leading) : 0;
                bool joins = units >= kFewUnits && !long_sum && !needs_all_threads(launches[j]), related = false;
                Traffic later;
                for (size_t k = 0; k < chain.size() && joins; ++k) {
                    Fit how = fit(access[chain[k]], access[j]);
                    joins = how != Fit::No;
                    related = related || how == Fit::Yes;
                }
                joins = joins && related;
                if (joins) {  // reading weights once more for smaller blocks must not cost more than memory saved
                    Traffic both = traffic, alone;
                    double shared = kMeeting;
                    both.add(launches[j], access[j], &shared);
                    alone.add(launches[j], access[j]);
                    joins = both.bytes() <= traffic.bytes() + alone.bytes() + shared;
                    if (joins) later = both;
                    else group.why = "with its neighbours, weights would be read too often";
                }
                for (size_t k = 0; k < skipped.size() && joins; ++k) joins = !conflict(access[skipped[k]], access[j]);
                if (!joins) {
                    skipped.push_back(j);
                    continue;
                }
                chain.push_back(j);
                traffic = later;
                taken[j] = true;
                group.units = units;
                group.cost += launches[j].cost;
            }
        }
        const bool alone = chain.size() == 1;
        if (!launches[i].parts.leading) group.why = "runs as a whole only";
        else if (group.units < kFewUnits) group.why = "too few rows to share";
        else if (!alone) group.why = "too little work to share";
        else if (!*group.why) group.why = "no neighbour over the same rows";
        if (alone ? packs(launches[i]) && keeps(launches[i]) : group.cost >= kParallelCost) group.kind = GroupKind::Chain;
        if (group.kind == GroupKind::Single && !alone) {
            for (size_t k = 1; k < chain.size(); ++k) taken[chain[k]] = false;
            chain.resize(1);
            group.cost = launches[i].cost;
        }
        group.rows = std::max(group.units, traffic.rows);
        group.parallel = group.cost >= kParallelCost;
        members.push_back(chain);
        made.push_back(group);
    }
    // Neighbours that do not depend on each other, none of which has work for all threads.
    for (size_t g = 0; g < made.size();) {
        auto small = [&](size_t at) {
            return made[at].kind == GroupKind::Single && launches[members[at][0]].kind != LaunchKind::Again;
        };
        size_t end = g;
        double cost = 0, most = 0;
        for (; end < made.size() && small(end); ++end) {
            bool apart = true;
            for (size_t k = g; k < end && apart; ++k) apart = !conflict(access[members[k][0]], access[members[end][0]]);
            if (!apart) break;
            cost += made[end].cost;
            most = std::max(most, made[end].cost);
        }
        if (end - g >= 2 && cost >= kParallelCost && most <= 0.6 * cost && most < 300e3) {
            made[g].kind = GroupKind::Bundle;
            made[g].parallel = true;
            made[g].cost = cost;
            for (size_t k = g + 1; k < end; ++k) members[g].push_back(members[k][0]);
            // The longest first, so that the last one to finish is short.
            std::stable_sort(members[g].begin(), members[g].end(), [&](size_t a, size_t b) { return launches[a].cost > launches[b].cost; });
            made.erase(made.begin() + std::ptrdiff_t(g) + 1, made.begin() + std::ptrdiff_t(end));
            members.erase(members.begin() + std::ptrdiff_t(g) + 1, members.begin() + std::ptrdiff_t(end));
        }
        ++g;
    }
    std::vector<Launch> ordered;
    std::vector<std::vector<Access>> touched;
    for (size_t g = 0; g < made.size(); ++g) {
        Group& group = made[g];
        group.first = int(ordered.size());
        group.count = int(members[g].size());
        for (size_t l : members[g]) {
            ordered.push_back(std::move(launches[l]));
            touched.push_back(access[l]);
        }
    }
    launches = std::move(ordered);
    groups = std::move(made);
    // Slots by the group that alone uses them, or -2.
    std::vector<int> user(slots.size(), -1);
    for (size_t g = 0; g < groups.size(); ++g)
        for (int l = groups[g].first; l < groups[g].first + groups[g].count; ++l)
            for (const Access& a : touched[size_t(l)]) {
                int& u = user[size_t(a.slot)];
                u = u == -1 || u == int(g) ? int(g) : -2;
            }
    for (size_t g = 0; g < groups.size(); ++g) {
        Group& group = groups[g];
        if (group.kind != GroupKind::Chain) continue;
        std::vector<const Access*> first(slots.size(), nullptr);  // by slot
        std::vector<bool> whole(slots.size(), false);
        for (int l = group.first; l < group.first + group.count; ++l) {
            for (const Access& a : touched[size_t(l)]) {
                if (!a.window) whole[size_t(a.slot)] = true;
                if (!first[size_t(a.slot)]) first[size_t(a.slot)] = &a;
                else if (first[size_t(a.slot)]->span != a.span || first[size_t(a.slot)]->offset != a.offset) whole[size_t(a.slot)] = true;
            }
            Launch& launch = launches[size_t(l)];
            if (!packs(launch)) continue;
            PackedWeights packed;
            packed.launch = l;
            packed.kept = keeps(launch);
            if (!packed.kept) {
                packed.slot = int(slots.size());
                Slot& slot = slots.emplace_back();
                slot.kind = SlotKind::Arena;
                slot.bytes = size_t(launch.parts.packed);
                user.push_back(int(g));
                first.push_back(nullptr);
                whole.push_back(true);
                launch.places.push_back(Place{packed.slot, 0});  // after the outputs: it counts as read
                launch.parts.advance.push_back(0);
                launch.parts.width.push_back(-1);
            }
            group.packed.push_back(packed);
        }
        for (size_t s = 0; s < first.size(); ++s) {
            if (!first[s] || whole[s] || !first[s]->span) continue;
            group.bytes += first[s]->span / group.units;
            if (slots[s].kind != SlotKind::Arena || user[s] != int(g) || !first[s]->write || first[s]->offset) continue;
            slots[s].kind = SlotKind::Local;
            group.local.emplace_back(int(s), first[s]->span / group.units);
        }
    }
}

namespace {

// Packs what has changed since the last run; afterwards `where[i]` is the packed B of `group.packed[i]`.
void pack_all(Group& group, const std::vector<Launch>& launches, const std::vector<Slot>& slots, char* const* bases, char** where) {
    struct Task { const Launch* launch; const char* source; char* to; int64_t first, last; };
    std::vector<Task> tasks;
    double cost = 0;
    for (size_t i = 0; i < group.packed.size(); ++i) {
        PackedWeights& packed = group.packed[i];
        const Launch& launch = launches[size_t(packed.launch)];
        const Place& b = launch.places[size_t(launch.parts.source)];
        if (packed.kept) {
            const Storage* storage = slots[size_t(b.slot)].storage;
            const bool stale = !packed.memory || packed.version != storage->version || storage->exported;
            if (!packed.memory) packed.memory = Ref<Storage>::adopt(storage_allocate(size_t(launch.parts.packed)));
            where[i] = packed.memory->data;
            packed.version = storage->version;
            if (!stale) continue;
        } else {
            where[i] = bases[packed.slot];
        }
        const int64_t panels = launch.parts.panels, each = std::max<int64_t>(1, (int64_t(64) << 10) * panels / launch.parts.packed);
        for (int64_t first = 0; first < panels; first += each)
            tasks.push_back(Task{&launch, bases[b.slot] + b.offset, where[i], first, std::min(panels, first + each)});
        cost += 0.15 * double(launch.parts.packed);
    }
    auto run = [&](int64_t i) { tasks[size_t(i)].launch->parts.pack(tasks[size_t(i)].source, tasks[size_t(i)].to, tasks[size_t(i)].first, tasks[size_t(i)].last); };
    if (cost >= kParallelCost) parallel_for(int64_t(tasks.size()), run);
    else
        for (size_t i = 0; i < tasks.size(); ++i) run(int64_t(i));
}

void run_chain(Group& group, const std::vector<Launch>& launches, const std::vector<Slot>& slots, char* const* bases) {
    constexpr size_t kFew = 64;
    char* few[kFew];
    std::vector<char*> many(group.packed.size() > kFew ? group.packed.size() : 0);
    char** packed = many.empty() ? few : many.data();
    if (!group.packed.empty()) pack_all(group, launches, slots, bases, packed);
    const int64_t units = group.units;
    int64_t tasks = 1;
    const int64_t least = (kLeastRows * units + group.rows - 1) / group.rows;  // units of a block
    if (group.parallel && thread_count() > 1)
        tasks = std::clamp<int64_t>(int64_t(group.cost / kTaskCost), 1, std::max<int64_t>(1, std::min(units / least, 2 * int64_t(thread_count()))));
    int64_t block = (units + tasks - 1) / tasks;
    if (group.bytes * block > kBlockBytes) block = std::max(std::min(least, block), std::min(block, kBlockBytes / group.bytes));
    tasks = (units + block - 1) / block;
    int64_t local_bytes = 0;
    for (auto [slot, bytes] : group.local) local_bytes += (bytes * block + 64 + 63) / 64 * 64;
    auto run = [&](int64_t task) {
        const int64_t begin = task * block, some = std::min(block, units - begin);
        char* own = local_bytes ? scratch(size_t(local_bytes), kLocalSlot) : nullptr;
        size_t pack = 0;
        for (int l = group.first; l < group.first + group.count; ++l) {
            const Launch& launch = launches[size_t(l)];
            const Parts& parts = launch.parts;
            const int64_t each = parts.leading / units;
            char* pointers[kMaxOperands + 8];
            const size_t n = launch.places.size();
            for (size_t i = 0; i < n; ++i) {
                const Place& p = launch.places[i];
                const int64_t step = parts.advance[i] * each;
                if (p.slot == -1) pointers[i] = reinterpret_cast<char*>(const_cast<int64_t*>(&p.offset));
                else if (p.slot < 0) pointers[i] = reinterpret_cast<char*>(p.offset + begin * step);
                else if (slots[size_t(p.slot)].kind != SlotKind::Local) pointers[i] = bases[p.slot] + p.offset + begin * step;
                else {
                    char* at = own;
                    for (auto [slot, bytes] : group.local) {
                        if (slot == p.slot) break;
                        at += (bytes * block + 64 + 63) / 64 * 64;
                    }
                    pointers[i] = at + p.offset;
                }
            }
            if (pack < group.packed.size() && group.packed[pack].launch == l) {
                if (group.packed[pack].kept) pointers[n] = packed[pack];
                ++pack;
            }
            parts.run(pointers, some * each);
        }
    };
    if (group.parallel && tasks > 1) {
        GilRelease unlocked(group.cost > 100e3);
        parallel_for(tasks, run);
    } else {
        for (int64_t task = 0; task < tasks; ++task) run(task);
    }
}

}  // namespace

void run_groups(std::vector<Group>& groups, const std::vector<Launch>& launches, const std::vector<Slot>& slots, char* const* bases,
                double* seconds) {
    using Clock = std::chrono::steady_clock;
    Clock::time_point before;
    if (seconds) before = Clock::now();
    for (size_t g = 0; g < groups.size(); ++g) {
        Group& group = groups[g];
        switch (group.kind) {
            case GroupKind::Single: run_launch(launches[size_t(group.first)], bases); break;
            case GroupKind::Chain: run_chain(group, launches, slots, bases); break;
            case GroupKind::Bundle: {
                GilRelease unlocked(group.cost > 100e3);
                parallel_for(group.count, [&](int64_t i) { run_launch(launches[size_t(group.first + i)], bases); });
                break;
            }
        }
        if (seconds) {
            Clock::time_point now = Clock::now();
            seconds[g] = std::chrono::duration<double>(now - before).count();
            before = now;
        }
    }
}

}  // namespace flambeau
