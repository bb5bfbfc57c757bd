// See transpose.h. The copy falls into tiles, a task each, and a tile into squares as wide as a vector. A tile's last
// squares are moved back to end where it ends, so that all of them are whole; only where a dimension is shorter than a
// square is it copied through a buffer.
#include "transpose.h"

#include <algorithm>
#include <cstring>

#include "threads.h"

namespace flambeau {

void* (*request_transposition)(int64_t item, bool past) = nullptr;

namespace {

using Kernel = void (*)(char* to, int64_t to_line, const char* from, int64_t from_line, int64_t down, int64_t across,
                        int64_t ahead);

constexpr int64_t kParallelWork = 1 << 17;  // bytes below which threads cost more than they bring
constexpr int64_t kTaskWork = 1 << 17;      // bytes one task takes
constexpr int64_t kTileBytes = 256;         // of a line in a tile: whole pieces of memory in both directions
constexpr int64_t kAlias = 4096;            // lines so many bytes apart compete for a few sets of a cache
constexpr int64_t kMaxVector = 64;

struct TileBytes {
    int64_t r, c;
};

// Where lines of the source alias, a copy from memory to memory is faster with few of them under way (r counts them),
// unless those of the target do too, whose pieces then become too short. Measured with elements of 4 and 8 bytes.
TileBytes tile_bytes(const Transposition& t) {
    if (!t.past || t.item < 4 || t.from_line % kAlias) return {kTileBytes, kTileBytes};
    return t.to_line % kAlias ? TileBytes{kTileBytes / 4, kTileBytes} : TileBytes{kTileBytes / 2, kTileBytes / 2};
}

int vector_bytes = 0;
void* kernels[5][2] = {};

}  // namespace

int64_t Transposition::numel() const {
    int64_t n = rows * columns;
    for (int d = 0; d < outer; ++d) n *= sizes[d];
    return n;
}

void Transposition::prepare() {
    if (!vector_bytes) vector_bytes = int(reinterpret_cast<intptr_t>(request_transposition(0, false)));
    int index = item == 1 ? 0 : item == 2 ? 1 : item == 4 ? 2 : item == 8 ? 3 : 4;
    for (bool streamed : {false, true}) {
        if (streamed && !past) continue;
        void*& known = kernels[index][streamed];
        if (!known) known = request_transposition(item, streamed);
        (streamed ? past_kernel : plain_kernel) = known;
    }
}

// One tile.
void Transposition::block(char* to, const char* from, int64_t r_count, int64_t c_count, int64_t ahead) const {
    const auto plain = reinterpret_cast<Kernel>(plain_kernel);
    const int64_t side = vector_bytes / item, down = r_count / side, across = c_count / side;
    const int64_t r_rest = r_count - down * side, c_rest = c_count - across * side;
    if (down && across) {
        const bool aligned = past && !((reinterpret_cast<uintptr_t>(to) | uintptr_t(to_line)) & uintptr_t(vector_bytes - 1));
        const auto kernel = aligned ? reinterpret_cast<Kernel>(past_kernel) : plain;
        kernel(to, to_line, from, from_line, down, across, ahead);
        const int64_t r = r_count - side, c = c_count - side;
        if (r_rest) plain(to + r * item, to_line, from + r * from_line, from_line, 1, across, 0);
        if (c_rest) plain(to + c * to_line, to_line, from + c * item, from_line, down, 1, 0);
        if (r_rest && c_rest) plain(to + c * to_line + r * item, to_line, from + r * from_line + c * item, from_line, 1, 1, 0);
        return;
    }
    alignas(kMaxVector) char source[kMaxVector * kMaxVector], turned[kMaxVector * kMaxVector];
    for (int64_t r = 0; r < r_count; r += side)
        for (int64_t c = 0; c < c_count; c += side) {
            const int64_t lines = std::min(side, r_count - r), width = std::min(side, c_count - c);
            for (int64_t i = 0; i < lines; ++i)
                std::memcpy(source + i * vector_bytes, from + (r + i) * from_line + c * item, size_t(width * item));
            plain(turned, vector_bytes, source, vector_bytes, 1, 1, 0);
            for (int64_t i = 0; i < width; ++i)
                std::memcpy(to + (c + i) * to_line + r * item, turned + i * vector_bytes, size_t(lines * item));
        }
}

void Transposition::copy(char* to, const char* from) const {
    const int64_t side = vector_bytes / item;
    const auto [r_bytes, c_bytes] = tile_bytes(*this);
    const int64_t r_edge = std::max(side, r_bytes / item), c_edge = std::max(side, c_bytes / item);
    // The last tile takes what is left, so that none is shorter than a square.
    const int64_t r_tiles = std::max<int64_t>(1, rows / r_edge), c_tiles = std::max<int64_t>(1, columns / c_edge);
    const int64_t tiles = r_tiles * c_tiles, total = numel() * item;
    int64_t count = tiles;
    for (int d = 0; d < outer; ++d) count *= sizes[d];
    const int64_t ahead = c_tiles > 1 ? c_edge * item : r_edge * from_line;  // where the tile after this one begins
    auto one = [&](int64_t number) {
        int64_t tile = number % tiles, rest = number / tiles;
        char* target = to;
        const char* source = from;
        for (int d = outer - 1; d >= 0; --d) {
            const int64_t at = rest % sizes[d];
            rest /= sizes[d];
            target += at * to_strides[d];
            source += at * from_strides[d];
        }
        const int64_t r = tile / c_tiles * r_edge, c = tile % c_tiles * c_edge;
        block(target + c * to_line + r * item, source + r * from_line + c * item,
              tile / c_tiles + 1 == r_tiles ? rows - r : r_edge, tile % c_tiles + 1 == c_tiles ? columns - c : c_edge, ahead);
    };
    if (total < kParallelWork) {
        for (int64_t i = 0; i < count; ++i) one(i);
        return;
    }
    const int64_t group = std::max<int64_t>(1, kTaskWork / std::max<int64_t>(1, total / count));
    parallel_for((count + group - 1) / group, [&](int64_t task) {
        for (int64_t i = task * group; i < std::min(count, (task + 1) * group); ++i) one(i);
#if defined(__x86_64__)
        if (past) __builtin_ia32_sfence();  // stores past the caches are not ordered with what follows
#endif
    });
}

}  // namespace flambeau
