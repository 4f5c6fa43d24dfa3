// One decode step of a BLOOM for up to eight sequences: five kernels a layer.
//
// Such a step reads every weight once and computes next to nothing, so what counts is that memory
// never rests. A block asks for its weights first, and only then waits for the kernel before it
// (programmatic dependent launch, compute capability 9.0 on) and computes the layer norm; sums
// that a whole row needs stay inside a block.
//
// The compiler is told HIDDEN, HEADS, DIM (of a head), VOCAB, EPSILON, BF16 (0: float16),
// RECALLED, how far ahead `recall` looks, and how the work is shared:
//   WARPS       of a block; WIDE_WARPS of one whose inputs are four times as many
//   TILE        output features of a block, the rows of a matrix instruction
//   ROWS        sequences, its columns
//   PADDED      numbers between normalised rows, so that they lie in different banks
//   CHOOSERS    threads that choose a row's token

#ifndef INFINITY  // NVRTC has no headers
#define INFINITY __int_as_float(0x7f800000)
#endif

typedef unsigned short half_t;  // bits of a bfloat16 or float16

#define THREADS (32 * WARPS)
#define TILES ((VOCAB + TILE - 1) / TILE)
#define AHEAD 6  // loads that a thread has under way for each of its two features

__device__ __forceinline__ float up(half_t bits) {
#if BF16
    return __uint_as_float((unsigned)bits << 16);
#else
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
    return value;
#endif
}

__device__ __forceinline__ half_t down(float value) {
    half_t bits;
#if BF16
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(value));
#else
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
#endif
    return bits;
}

__device__ __forceinline__ unsigned pair(float low, float high) {
    return (unsigned)down(low) | (unsigned)down(high) << 16;
}

__device__ __forceinline__ float low(unsigned pair) { return up((half_t)(pair & 0xffffu)); }
__device__ __forceinline__ float high(unsigned pair) { return up((half_t)(pair >> 16)); }

// Sixteen bytes that are read once: not worth a place in the first cache.
__device__ __forceinline__ uint4 stream(const uint4* from) {
    uint4 v;
    asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(from));
    return v;
}

// The next kernel may begin to load its weights.
__device__ __forceinline__ void let_next_begin() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

// All that the kernels before this one wrote can be read.
__device__ __forceinline__ void wait_for_last() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

// (16 features x 16 inputs) times (16 inputs x 8 sequences), added to sums.
__device__ __forceinline__ void multiply(float (&sums)[4], unsigned a0, unsigned a1, unsigned a2,
                                         unsigned a3, unsigned b0, unsigned b1) {
#if BF16
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
#else
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
#endif
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
                 : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

__device__ __forceinline__ float warp_sum(float value) {
    for (int lane = 16; lane; lane >>= 1) value += __shfl_xor_sync(~0u, value, lane);
    return value;
}

__device__ __forceinline__ float warp_max(float value) {
    for (int lane = 16; lane; lane >>= 1) value = fmaxf(value, __shfl_xor_sync(~0u, value, lane));
    return value;
}

__device__ __forceinline__ float4 floats(const float* from) {
    float4 v;  // volatile: read anew each time, from the first cache, rather than kept in registers
    asm volatile("ld.global.v4.f32 {%0, %1, %2, %3}, [%4];"
                 : "=f"(v.x), "=f"(v.y), "=f"(v.z), "=f"(v.w) : "l"(from));
    return v;
}

// Adds up two numbers over the SPAN warps that share a row; all threads of the block must call.
template <int SPAN>
__device__ __forceinline__ float2 row_sums(float one, float other) {
    one = warp_sum(one);
    other = warp_sum(other);
    if (SPAN == 1) return make_float2(one, other);
    __shared__ float2 sums[WARPS];
    if ((threadIdx.x & 31) == 0) sums[threadIdx.x >> 5] = make_float2(one, other);
    __syncthreads();
    float2 total = make_float2(0.f, 0.f);
    const int first = (threadIdx.x >> 5) / SPAN * SPAN;
#pragma unroll
    for (int k = 0; k < SPAN; k++) {
        total.x += sums[first + k].x;
        total.y += sums[first + k].y;
    }
    return total;
}

// Brings a norm's weights near: they are nobody's output, so this may be done before the wait.
__device__ __forceinline__ void fetch_norm(const half_t* weight, const half_t* bias) {
    for (int i = 64 * threadIdx.x; i < HIDDEN; i += 64 * blockDim.x) {
        asm volatile("prefetch.global.L1 [%0];" ::"l"(weight + i));
        asm volatile("prefetch.global.L1 [%0];" ::"l"(bias + i));
    }
}

// Layer norm of rows of HIDDEN floats, SPAN warps each, rounded to `out`, `stride` apart.
template <int SPAN>
__device__ __forceinline__ void normalise_by(const float* x, const half_t* weight,
                                             const half_t* bias, int rows, half_t* out,
                                             int stride) {
    constexpr int EACH = HIDDEN / 4, COUNT = (EACH + 32 * SPAN - 1) / (32 * SPAN);
    const int warp = threadIdx.x >> 5, row = warp / SPAN;
    const int begin = warp % SPAN * 32 + (threadIdx.x & 31);
    const float* from = x + min(row, rows - 1) * HIDDEN;
    // Sums of differences to one of the numbers: as exact as two passes, in one.
    const float origin = from[0];
    float sum = 0.f, squares = 0.f;
#pragma unroll
    for (int i = 0; i < COUNT; i++)
        if (begin + 32 * SPAN * i < EACH) {
            const float4 v = floats(from + 4 * (begin + 32 * SPAN * i));
            const float a = v.x - origin, b = v.y - origin, c = v.z - origin, d = v.w - origin;
            sum += (a + b) + (c + d);
            squares += (a * a + b * b) + (c * c + d * d);
        }
    const float2 sums = row_sums<SPAN>(sum, squares);
    const float shift = sums.x / HIDDEN, mean = origin + shift;
    const float scale = rsqrtf(fmaxf(sums.y / HIDDEN - shift * shift, 0.f) + EPSILON);
    if (row >= rows) return;
#pragma unroll
    for (int i = 0; i < COUNT; i++) {
        const int at = begin + 32 * SPAN * i;
        if (at < EACH) {
            const float4 v = floats(from + 4 * at);
            const uint2 w = ((const uint2*)weight)[at], b = ((const uint2*)bias)[at];
            ((uint2*)(out + row * stride))[at] = make_uint2(
                pair((v.x - mean) * scale * low(w.x) + low(b.x),
                     (v.y - mean) * scale * high(w.x) + high(b.x)),
                pair((v.z - mean) * scale * low(w.y) + low(b.y),
                     (v.w - mean) * scale * high(w.y) + high(b.y)));
        }
    }
}

__device__ __forceinline__ void normalise(const float* x, const half_t* weight, const half_t* bias,
                                          int rows, half_t* out, int stride) {
    if (rows == 1)
        normalise_by<WARPS>(x, weight, bias, rows, out, stride);
    else
        normalise_by<1>(x, weight, bias, rows, out, stride);
    __syncthreads();
}

// What a thread has loaded of its two features' weights: LOADS blocks of 32 inputs, of which
// `workers` warps take two in turn, for those share a line of the cache.
template <int K, int LOADS>
struct Weights {
    uint4 first[LOADS], second[LOADS];

    static __device__ __forceinline__ int place(int i, int worker, int workers) {
        return 2 * worker + (i & 1) + (i >> 1) * 2 * workers;
    }

    // A thread's eight inputs of a block lie side by side. A matrix instruction wants others, but
    // as long as the other operand is dealt out alike, the sum is the same.
    __device__ __forceinline__ void load(const half_t* w, int feature, int features, int begin,
                                         int worker, int workers) {
        const int lane = threadIdx.x & 31, g = lane >> 2, t = lane & 3;
        const int last = features - 1;
        const uint4* a = (const uint4*)(w + (size_t)min(feature + g, last) * K) + t;
        const uint4* b = (const uint4*)(w + (size_t)min(feature + g + 8, last) * K) + t;
#pragma unroll
        for (int i = 0; i < LOADS; i++) {
            const int at = begin + place(i, worker, workers);
            if (at < K / 32) {
                first[i] = stream(a + 4 * at);
                second[i] = stream(b + 4 * at);
            }
        }
    }

    // Adds their products with `rows` rows of inputs, `stride` apart.
    __device__ __forceinline__ void apply(float (&sums)[4], const half_t* x, int rows, int stride,
                                          int begin, int worker, int workers) const {
        const int lane = threadIdx.x & 31, g = lane >> 2, t = lane & 3;
#pragma unroll
        for (int i = 0; i < LOADS; i++) {
            const int at = begin + place(i, worker, workers);
            if (at < K / 32) {
                uint4 in = make_uint4(0, 0, 0, 0);
                if (g < rows) in = *((const uint4*)(x + g * stride) + 4 * at + t);
                multiply(sums, first[i].x, second[i].x, first[i].y, second[i].y, in.x, in.y);
                multiply(sums, first[i].z, second[i].z, first[i].w, second[i].w, in.z, in.w);
            }
        }
    }
};

// write(row, feature, sum) for 16 features from blockIdx.x * 16 on and all rows; NWARPS warps share
// the inputs. `prepare` says where the rows of inputs are, `stride` apart.
template <int K, int NWARPS, int LOADS, class Prepare, class Write>
__device__ __forceinline__ void linear(const half_t* w, int features, int rows, int stride,
                                       Prepare prepare, Write write) {
    __shared__ float parts[NWARPS][TILE][ROWS + 1];
    const int warp = threadIdx.x >> 5, lane = threadIdx.x & 31, g = lane >> 2, t = lane & 3;
    const int feature = blockIdx.x * TILE;
    Weights<K, LOADS> now;
    now.load(w, feature, features, 0, warp, NWARPS);
    let_next_begin();
    wait_for_last();
    const half_t* x = prepare();
    float sums[4] = {0.f, 0.f, 0.f, 0.f};
    constexpr int ROUND = LOADS * NWARPS;
#pragma unroll
    for (int begin = 0; begin < K / 32; begin += ROUND) {
        Weights<K, LOADS> next;
        if (begin + ROUND < K / 32)
            next.load(w, feature, features, begin + ROUND, warp, NWARPS);
        now.apply(sums, x, rows, stride, begin, warp, NWARPS);
        if (begin + ROUND < K / 32) now = next;
    }
    parts[warp][g][2 * t] = sums[0];
    parts[warp][g][2 * t + 1] = sums[1];
    parts[warp][g + 8][2 * t] = sums[2];
    parts[warp][g + 8][2 * t + 1] = sums[3];
    __syncthreads();
    const int f = threadIdx.x % TILE, row = threadIdx.x / TILE;
    if (row < rows && feature + f < features) {
        float sum = 0.f;
#pragma unroll
        for (int k = 0; k < NWARPS; k++) sum += parts[k][f][row];
        write(row, feature + f, sum);
    }
}

// Numbers in an order of whole numbers.
__device__ __forceinline__ unsigned ordered(float value) {
    const unsigned bits = __float_as_uint(value);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

__device__ __forceinline__ float unordered(unsigned key) {
    return __uint_as_float(key & 0x80000000u ? key & 0x7fffffffu : ~key);
}

__device__ __forceinline__ void read_tile(const float* scores, int tile, float (&out)[TILE]) {
#pragma unroll
    for (int k = 0; k < TILE; k++)
        out[k] = tile * TILE + k < VOCAB ? scores[tile * TILE + k] : -INFINITY;
}

extern __shared__ uint4 shared[];

// Word embeddings and their norm: x (rows, HIDDEN).
extern "C" __global__ void __launch_bounds__(THREADS)
embed(const half_t* table, const half_t* weight, const half_t* bias, const long long* ids,
      float* x, int rows) {
    wait_for_last();
    __shared__ float sums[WARPS];
    const int warp = threadIdx.x >> 5, row = blockIdx.x;
    const half_t* from = table + (size_t)ids[row] * HIDDEN;
    float sum = 0.f;
    for (int i = threadIdx.x; i < HIDDEN; i += THREADS) sum += up(from[i]);
    sum = warp_sum(sum);
    if ((threadIdx.x & 31) == 0) sums[warp] = sum;
    __syncthreads();
    float mean = 0.f;
    for (int k = 0; k < WARPS; k++) mean += sums[k] / HIDDEN;
    __syncthreads();
    sum = 0.f;
    for (int i = threadIdx.x; i < HIDDEN; i += THREADS) {
        const float d = up(from[i]) - mean;
        sum += d * d;
    }
    sum = warp_sum(sum);
    if ((threadIdx.x & 31) == 0) sums[warp] = sum;
    __syncthreads();
    float variance = 0.f;
    for (int k = 0; k < WARPS; k++) variance += sums[k] / HIDDEN;
    const float scale = rsqrtf(variance + EPSILON);
    for (int i = threadIdx.x; i < HIDDEN; i += THREADS)
        x[row * HIDDEN + i] = (up(from[i]) - mean) * scale * up(weight[i]) + up(bias[i]);
    let_next_begin();
}

// Norm, queries, keys and values: q (rows, HEADS, DIM); the rest goes to its place in `kv`,
// (rows, HEADS, 2, room, DIM).
extern "C" __global__ void __launch_bounds__(THREADS, 3)
project(const float* x, const half_t* norm_weight, const half_t* norm_bias, const half_t* w,
        const half_t* bias, half_t* q, half_t* kv, const long long* length, int room, int rows) {
    half_t* normed = (half_t*)shared;
    const int stride = HIDDEN + PADDED;
    fetch_norm(norm_weight, norm_bias);
    linear<HIDDEN, WARPS, AHEAD>(w, 3 * HIDDEN, rows, stride,
        [&]() -> const half_t* {
            normalise(x, norm_weight, norm_bias, rows, normed, stride);
            return normed;
        },
        [&](int row, int feature, float sum) {
            const int head = feature / (3 * DIM), part = feature / DIM % 3, d = feature % DIM;
            const half_t value = down(sum + up(bias[feature]));
            if (part == 0)
                q[(row * HEADS + head) * DIM + d] = value;
            else
                kv[(((size_t)(row * HEADS + head) * 2 + part - 1) * room + *length) * DIM + d] =
                    value;
        });
}

// Attention of the newest token, ALiBi and padding in it: out (rows, HEADS * DIM). A block a head
// and row, `room` floats of shared memory. What older tokens left is asked for before the wait.
extern "C" __global__ void __launch_bounds__(THREADS)
attend(const half_t* q, const half_t* kv, const long long* length, const long long* pad,
       const float* slopes, half_t* out, int room) {
    constexpr int PAIRS = (DIM / 2 + 31) / 32, EARLY = 8;
    float* chances = (float*)shared;
    __shared__ float query[DIM], extremes[WARPS], totals[WARPS], parts[WARPS][DIM];
    const int head = blockIdx.x, row = blockIdx.y;
    const int warp = threadIdx.x >> 5, lane = threadIdx.x & 31;
    const half_t* keys = kv + (size_t)(row * HEADS + head) * 2 * room * DIM;
    const half_t* values = keys + (size_t)room * DIM;
    const float slope = slopes[head];
    const int now = (int)*length, from = (int)pad[row];

    // A thread takes a key; a warp every eighth value, its lanes pairs of dimensions.
    uint4 key[DIM / 8];
    unsigned value[EARLY][PAIRS];
    auto read_key = [&](int j) {
        const uint4* at = (const uint4*)(keys + (size_t)j * DIM);
#pragma unroll
        for (int i = 0; i < DIM / 8; i++) key[i] = at[i];
    };
    auto read_value = [&](int j, unsigned (&pairs)[PAIRS]) {
        const unsigned* at = (const unsigned*)(values + (size_t)j * DIM);
#pragma unroll
        for (int i = 0; i < PAIRS; i++)
            if (lane + 32 * i < DIM / 2) pairs[i] = at[lane + 32 * i];
    };
    if (from + (int)threadIdx.x < now) read_key(from + threadIdx.x);
#pragma unroll
    for (int i = 0; i < EARLY; i++)
        if (from + warp + WARPS * i < now) read_value(from + warp + WARPS * i, value[i]);
    let_next_begin();
    wait_for_last();

    for (int d = threadIdx.x; d < DIM; d += THREADS)
        query[d] = up(q[(row * HEADS + head) * DIM + d]) * rsqrtf((float)DIM);
    if (from + (int)threadIdx.x == now) read_key(now);
#pragma unroll
    for (int i = 0; i < EARLY; i++)
        if (from + warp + WARPS * i == now) read_value(now, value[i]);
    __syncthreads();

    float most = -1e30f;
    for (int j = from + threadIdx.x; j <= now; j += THREADS) {
        if (j >= from + THREADS) read_key(j);
        float score = slope * (j - now);
#pragma unroll
        for (int i = 0; i < DIM / 8; i++) {
            const uint4 k = key[i];
            const float* part = query + 8 * i;
            score += part[0] * low(k.x) + part[1] * high(k.x) + part[2] * low(k.y)
                + part[3] * high(k.y) + part[4] * low(k.z) + part[5] * high(k.z)
                + part[6] * low(k.w) + part[7] * high(k.w);
        }
        chances[j - from] = score;
        most = fmaxf(most, score);
    }
    most = warp_max(most);
    if (lane == 0) extremes[warp] = most;
    __syncthreads();
    for (int k = 0; k < WARPS; k++) most = fmaxf(most, extremes[k]);
    float total = 0.f;
    for (int j = threadIdx.x; j <= now - from; j += THREADS) {
        const float chance = __expf(chances[j] - most);
        chances[j] = chance;
        total += chance;
    }
    total = warp_sum(total);
    if (lane == 0) totals[warp] = total;
    __syncthreads();

    float sums[PAIRS][2] = {};
    auto add = [&](float chance, const unsigned (&pairs)[PAIRS]) {
#pragma unroll
        for (int i = 0; i < PAIRS; i++)
            if (lane + 32 * i < DIM / 2) {
                sums[i][0] += chance * low(pairs[i]);
                sums[i][1] += chance * high(pairs[i]);
            }
    };
#pragma unroll
    for (int i = 0; i < EARLY; i++)
        if (warp + WARPS * i <= now - from) add(chances[warp + WARPS * i], value[i]);
#pragma unroll 4
    for (int j = warp + WARPS * EARLY; j <= now - from; j += WARPS) {
        unsigned pairs[PAIRS];
        read_value(from + j, pairs);
        add(chances[j], pairs);
    }
#pragma unroll
    for (int i = 0; i < PAIRS; i++)
        if (lane + 32 * i < DIM / 2) {
            parts[warp][2 * (lane + 32 * i)] = sums[i][0];
            parts[warp][2 * (lane + 32 * i) + 1] = sums[i][1];
        }
    __syncthreads();
    total = 0.f;
    for (int k = 0; k < WARPS; k++) total += totals[k];
    for (int d = threadIdx.x; d < DIM; d += THREADS) {
        float sum = 0.f;
        for (int k = 0; k < WARPS; k++) sum += parts[k][d];
        out[(row * HEADS + head) * DIM + d] = down(sum / total);
    }
}

// x += w in + bias, for attention's output.
extern "C" __global__ void __launch_bounds__(THREADS)
add_attention(const half_t* in, const half_t* w, const half_t* bias, float* x, int rows) {
    linear<HIDDEN, WARPS, AHEAD>(w, HIDDEN, rows, HIDDEN, [&]() { return in; },
        [&](int row, int feature, float sum) {
            x[row * HIDDEN + feature] += sum + up(bias[feature]);
        });
}

// Norm, the wide layer and GELU (its tanh form): out (rows, 4 HIDDEN).
extern "C" __global__ void __launch_bounds__(THREADS, 3)
widen(const float* x, const half_t* norm_weight, const half_t* norm_bias, const half_t* w,
      const half_t* bias, half_t* out, int rows) {
    half_t* normed = (half_t*)shared;
    const int stride = HIDDEN + PADDED;
    fetch_norm(norm_weight, norm_bias);
    linear<HIDDEN, WARPS, AHEAD>(w, 4 * HIDDEN, rows, stride,
        [&]() -> const half_t* {
            normalise(x, norm_weight, norm_bias, rows, normed, stride);
            return normed;
        },
        [&](int row, int feature, float sum) {
            const float v = sum + up(bias[feature]);
            const float inner = 0.7978845608028654f * (v + 0.044715f * v * v * v);
            out[row * 4 * HIDDEN + feature] = down(0.5f * v * (1.f + tanhf(inner)));
        });
}

// x += w in + bias, for the wide layer's output.
extern "C" __global__ void __launch_bounds__(32 * WIDE_WARPS)
narrow(const half_t* in, const half_t* w, const half_t* bias, float* x, int rows) {
    linear<4 * HIDDEN, WIDE_WARPS, 2>(w, HIDDEN, rows, 4 * HIDDEN, [&]() { return in; },
        [&](int row, int feature, float sum) {
            x[row * HIDDEN + feature] += sum + up(bias[feature]);
        });
}

// Last norm and tied head: logits (rows, VOCAB), twice, for sampling writes into `scores`. With
// them the highest of each sixteen, maxima (rows, TILES), and of each warp of the grid the logarithm
// of the sum of its logits' exponentials, parts (rows, warps). The step is then done: `length` and
// `step` go on. A warp has 16 features to itself, then more.
extern "C" __global__ void __launch_bounds__(THREADS)
predict(const float* x, const half_t* norm_weight, const half_t* norm_bias, const half_t* table,
        float* logits, float* scores, float* maxima, float* parts, long long* length,
        long long* step, int rows) {
    half_t* normed = (half_t*)shared;
    const int stride = HIDDEN + PADDED;
    const int lane = threadIdx.x & 31, g = lane >> 2, t = lane & 3;
    const int worker = blockIdx.x * WARPS + (threadIdx.x >> 5), workers = gridDim.x * WARPS;
    int feature = worker * TILE;
    fetch_norm(norm_weight, norm_bias);
    Weights<HIDDEN, AHEAD> now;
    now.load(table, feature, VOCAB, 0, 0, 1);
    let_next_begin();
    wait_for_last();
    if (worker == 0 && lane == 0) {
        *length += 1;
        *step += 1;
    }
    normalise(x, norm_weight, norm_bias, rows, normed, stride);
    float most[2] = {-1e30f, -1e30f}, total[2] = {0.f, 0.f};
    for (; feature < VOCAB; feature += workers * TILE) {
        float sums[4] = {0.f, 0.f, 0.f, 0.f};
#pragma unroll
        for (int begin = 0; begin < HIDDEN / 32; begin += AHEAD) {
            // Behind the last inputs of these features come the next ones' first.
            Weights<HIDDEN, AHEAD> next;
            if (begin + AHEAD < HIDDEN / 32)
                next.load(table, feature, VOCAB, begin + AHEAD, 0, 1);
            else
                next.load(table, feature + workers * TILE, VOCAB, 0, 0, 1);
            now.apply(sums, normed, rows, stride, begin, 0, 1);
            now = next;
        }
#pragma unroll
        for (int i = 0; i < 2; i++) {
            const int row = 2 * t + i, f = feature + g;
            float highest = -INFINITY;
#pragma unroll
            for (int k = 0; k < 2; k++)
                if (row < rows && f + 8 * k < VOCAB) {
                    const float logit = sums[i + 2 * k];
                    logits[(size_t)row * VOCAB + f + 8 * k] = logit;
                    scores[(size_t)row * VOCAB + f + 8 * k] = logit;
                    highest = fmaxf(highest, logit);
                    const float more = fmaxf(most[i], logit);
                    total[i] = total[i] * __expf(most[i] - more) + __expf(logit - more);
                    most[i] = more;
                }
            for (int lanes = 4; lanes < 32; lanes <<= 1)
                highest = fmaxf(highest, __shfl_xor_sync(~0u, highest, lanes));
            if (g == 0 && row < rows) maxima[(size_t)row * TILES + feature / TILE] = highest;
        }
    }
#pragma unroll
    for (int i = 0; i < 2; i++) {
        for (int lanes = 4; lanes < 32; lanes <<= 1) {
            const float other = __shfl_xor_sync(~0u, most[i], lanes);
            const float also = __shfl_xor_sync(~0u, total[i], lanes);
            const float more = fmaxf(most[i], other);
            total[i] = total[i] * __expf(most[i] - more) + also * __expf(other - more);
            most[i] = more;
        }
        if (g == 0 && 2 * t + i < rows)
            parts[(size_t)(2 * t + i) * workers + worker] = most[i] + logf(total[i]);
    }
}

// The next token of each row, a block each, as `sampling.Sampler` and `recall.Recall` choose it,
// and all that is to be noted of it. The likeliest tokens are found through the maxima of `predict`:
// of the numbers that hold for a thread's share each, the k-th highest is no higher than the k-th
// highest token, and few tokens lie between.
extern "C" __global__ void __launch_bounds__(CHOOSERS)
choose(const float* logits, float* scores, float* maxima, const float* parts, int count,
       long long* history, int room, long long* recent, int window, const float* chance,
       const long long* single, int singles, const long long* heads, const long long* lasts,
       int sequences, const long long* wanted, const float* extra, long long* said, int words,
       const long long* length, const long long* step, int steps, int least, int eos, bool* live,
       long long* ids, long long* tokens, float* logprobs, const float* settings, int top_k) {
    constexpr int EACH = (TILES + CHOOSERS - 1) / CHOOSERS;
    __shared__ unsigned long long keys[CHOOSERS], best[CHOOSERS];
    __shared__ int found;
    __shared__ float largest[CHOOSERS / 32], sums[CHOOSERS / 32];
    const int row = blockIdx.x, me = threadIdx.x, warp = me >> 5, lane = me & 31;
    let_next_begin();
    wait_for_last();
    const int at = (int)*step, place = (int)*length;
    const float temperature = settings[0], top_p = settings[1], penalty = settings[2];
    logits += (size_t)row * VOCAB;
    scores += (size_t)row * VOCAB;
    history += (size_t)row * room;
    recent += (size_t)row * window;
    maxima += (size_t)row * TILES;

    if (me == 0) found = 0;
    // The logarithm of the sum of all exponentials, from those of parts.
    float most = -INFINITY, sum = 0.f;
    for (int i = me; i < count; i += CHOOSERS) most = fmaxf(most, parts[(size_t)row * count + i]);
    most = warp_max(most);
    if (lane == 0) largest[warp] = most;
    __syncthreads();
    most = warp_max(largest[lane]);
    for (int i = me; i < count; i += CHOOSERS) sum += expf(parts[(size_t)row * count + i] - most);
    sum = warp_sum(sum);
    if (lane == 0) sums[warp] = sum;

    // What is to be said next is leaned on; the end has to wait.
    const bool early = at < least && eos >= 0;
    int next = -1;
    float more = 0.f;
    if (words) {
        const size_t i = (size_t)row * words + said[row];
        next = max((int)wanted[i], 0);
        more = extra[i];
    }
    auto base = [&](int id) {
        return early && id == eos ? -INFINITY : logits[id] + (id == next ? more : 0.f);
    };
    if (me == 0 && early) scores[eos] = -INFINITY;
    if (me == 0 && words) scores[next] = base(next);
    __syncthreads();
    if (penalty != 1.f)
        for (int i = me; i < room; i += CHOOSERS) {
            const int id = (int)history[i];
            const float score = base(id);
            scores[id] = score < 0.f ? score * penalty : score / penalty;
        }
    __syncthreads();
    for (int i = me; i < singles; i += CHOOSERS) scores[single[i]] = -INFINITY;
    auto complete = [&](int i) {
        for (int k = 0; k < window; k++) {
            const long long head = heads[(size_t)i * window + k];
            if (head != -2 && head != recent[k]) return false;
        }
        return true;
    };
    for (int i = me; i < sequences; i += CHOOSERS)
        if (complete(i)) scores[lasts[i]] = -INFINITY;
    __syncthreads();

    // Where a score changed, so may have the highest of its sixteen.
    auto again = [&](int id) {
        float sixteen[TILE];
        read_tile(scores, id / TILE, sixteen);
        float highest = -INFINITY;
#pragma unroll
        for (int k = 0; k < TILE; k++) highest = fmaxf(highest, sixteen[k]);
        maxima[id / TILE] = highest;
    };
    for (int i = me; i < 2 + room + singles + sequences; i += CHOOSERS) {
        const int other = i - 2 - room;
        int id = -1;
        if (i == 0) id = early ? eos : -1;
        else if (i == 1) id = next;
        else if (other < 0) id = penalty != 1.f ? (int)history[i - 2] : -1;
        else if (other < singles) id = (int)single[other];
        else if (complete(other - singles)) id = (int)lasts[other - singles];
        if (id >= 0) again(id);
    }
    __syncthreads();

    float own[EACH], highest = -INFINITY;
#pragma unroll
    for (int i = 0; i < EACH; i++) {
        own[i] = me + i * CHOOSERS < TILES ? maxima[me + i * CHOOSERS] : -INFINITY;
        highest = fmaxf(highest, own[i]);
    }
    // The highest bound that top_k threads reach, or nearly so, bit by bit.
    const unsigned key = ordered(highest);
    unsigned bound = 0;
    for (unsigned bit = 1u << 31; bit; bit >>= 1) {
        const int reaching = __syncthreads_count(key >= (bound | bit));
        if (reaching >= top_k) bound |= bit;
        if (reaching == top_k) break;
    }
    int candidates;
    for (;;) {
        const float lowest = fmaxf(unordered(bound), -3e38f);
        unsigned hits = 0;
#pragma unroll
        for (int i = 0; i < EACH; i++)
            if (own[i] >= lowest) hits |= 1u << i;
        for (; hits; hits &= hits - 1) {
            const int tile = me + (__ffs(hits) - 1) * CHOOSERS;
            float sixteen[TILE];
            read_tile(scores, tile, sixteen);
#pragma unroll
            for (int k = 0; k < TILE; k++)
                if (sixteen[k] >= lowest) {
                    const int slot = atomicAdd(&found, 1);
                    if (slot < CHOOSERS)
                        keys[slot] = (unsigned long long)ordered(sixteen[k]) << 32
                            | ~(unsigned)(tile * TILE + k);
                }
        }
        __syncthreads();
        const int all = found;
        candidates = min(all, CHOOSERS);
        // A candidate's place is the number of those in front of it; of equal scores the lower id
        // comes first.
        if (me < candidates) {
            const unsigned long long entry = keys[me];
            int before = 0;
            for (int k = 0; k < candidates; k++) before += keys[k] > entry;
            best[before] = entry;
        }
        __syncthreads();
        // Should there be no room for all, the k-th highest of those that found it is a higher
        // bound, unless they are alike.
        const unsigned higher = candidates < top_k ? bound : (unsigned)(best[top_k - 1] >> 32);
        if (all <= CHOOSERS || higher <= bound) break;
        bound = higher;
        if (me == 0) found = 0;
        __syncthreads();
    }
    if (warp) return;

    const int few = min(top_k, candidates);
    int chosen = 0;
    if (temperature > 0.f && few) {
        // The CDF over the tokens that are left, two a lane, inverted; the nucleus ends where it
        // reaches top_p.
        const float peak = unordered((unsigned)(best[0] >> 32));
        auto weight = [&](int i) {
            return i < few ? expf((unordered((unsigned)(best[i] >> 32)) - peak) / temperature) : 0.f;
        };
        const float first = weight(2 * lane), second = weight(2 * lane + 1);
        float mass = first + second;
        for (int gap = 1; gap < 32; gap <<= 1) {
            const float lower = __shfl_up_sync(~0u, mass, gap);
            if (lane >= gap) mass += lower;
        }
        const float limit = top_p * __shfl_sync(~0u, mass, 31);
        // How many sums are under a limit: the number of the first that is not.
        auto under = [&](float limit) {
            return __popc(__ballot_sync(~0u, mass - second < limit))
                + __popc(__ballot_sync(~0u, mass < limit));
        };
        auto sum_to = [&](int i) {
            const float odd = __shfl_sync(~0u, mass, i / 2);
            const float even = __shfl_sync(~0u, mass - second, i / 2);
            return i & 1 ? odd : even;
        };
        const int last = min(under(limit), few - 1);
        chosen = min(under(chance[(size_t)row * steps + at] * sum_to(last)), last);
    }
    float total = warp_sum(sums[lane]);
    if (lane) return;
    const int id = few ? (int)~(unsigned)best[chosen] : 0;
    ids[row] = id;
    tokens[(size_t)row * steps + at] = live[row] ? id : -1;
    logprobs[(size_t)row * steps + at] = logits[id] - most - logf(total);
    live[row] = live[row] && id != eos;
    history[place] = id;
    if (words) {
        const long long so_far = said[row];
        for (int k = 0; k < RECALLED; k++)
            if (wanted[(size_t)row * words + so_far + k] == id) {
                said[row] = so_far + k + 1;
                break;
            }
    }
    for (int k = 0; k + 1 < window; k++) recent[k] = recent[k + 1];
    if (window) recent[window - 1] = id;
}
