/* XXH64 with seed 0: Yann Collet, "xxHash fast digest algorithm", version 0.1.1. */
#include "program.h"

#include <string.h>

static const uint64_t P1 = 0x9E3779B185EBCA87u, P2 = 0xC2B2AE3D27D4EB4Fu, P3 = 0x165667B19E3779F9u,
                      P4 = 0x85EBCA77C2B2AE63u, P5 = 0x27D4EB2F165667C5u;

static uint64_t turn(uint64_t x, int bits) { return x << bits | x >> (64 - bits); }

static uint64_t word(const uint8_t *at) {
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static uint64_t step(uint64_t sum, uint64_t value) { return turn(sum + value * P2, 31) * P1; }

static uint64_t merge(uint64_t hash, uint64_t sum) { return (hash ^ step(0, sum)) * P1 + P4; }

static uint64_t of_stripes(const uint8_t **at, const uint8_t *end) {
    uint64_t a = P1 + P2, b = P2, c = 0, d = 0 - P1;
    for (; end - *at >= 32; *at += 32) {
        a = step(a, word(*at)), b = step(b, word(*at + 8));
        c = step(c, word(*at + 16)), d = step(d, word(*at + 24));
    }
    uint64_t hash = turn(a, 1) + turn(b, 7) + turn(c, 12) + turn(d, 18);
    return merge(merge(merge(merge(hash, a), b), c), d);
}

uint64_t gp_checksum(const uint8_t *at, size_t bytes) {
    const uint8_t *end = at + bytes;
    uint64_t hash = (bytes >= 32 ? of_stripes(&at, end) : P5) + bytes;
    for (; end - at >= 8; at += 8) hash = turn(hash ^ step(0, word(at)), 27) * P1 + P4;
    if (end - at >= 4) {
        uint32_t half;
        memcpy(&half, at, sizeof half);
        hash = turn(hash ^ half * P1, 23) * P2 + P3;
        at += 4;
    }
    for (; at < end; at++) hash = turn(hash ^ *at * P5, 11) * P1;
    hash = (hash ^ hash >> 33) * P2;
    hash = (hash ^ hash >> 29) * P3;
    return hash ^ hash >> 32;
}
