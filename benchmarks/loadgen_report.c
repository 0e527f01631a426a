/* Load generator - latency histogram, and the report as one line of JSON on stdout. */
#include "loadgen.h"

void record_latency(struct histogram *histogram, uint64_t ns) {
    /* Below 64 ns a bucket is 1 ns wide; above, the highest 7 bits choose it. */
    unsigned octave = ns < SUB_BUCKETS ? 0 : 63 - (unsigned)__builtin_clzll(ns) - 5;
    unsigned index = octave == 0 ? (unsigned)ns : octave * SUB_BUCKETS + (unsigned)(ns >> (octave - 1)) - SUB_BUCKETS;
    if (index >= SUB_BUCKETS * OCTAVES) index = SUB_BUCKETS * OCTAVES - 1;
    histogram->buckets[index]++;
    histogram->count++;
    if (ns > histogram->max_ns) histogram->max_ns = ns;
}

/* Upper edge of the bucket that holds this share of the answers, in microseconds. */
static double percentile_us(const struct histogram *histogram, double share) {
    uint64_t rank = (uint64_t)((double)histogram->count * share), seen = 0;
    for (unsigned index = 0; index < SUB_BUCKETS * OCTAVES; index++) {
        seen += histogram->buckets[index];
        if (seen <= rank) continue;
        unsigned octave = index / SUB_BUCKETS, sub = index % SUB_BUCKETS;
        double upper_ns = octave == 0 ? sub + 1.0 : (double)((uint64_t)(SUB_BUCKETS + sub + 1) << (octave - 1));
        return (upper_ns < (double)histogram->max_ns ? upper_ns : (double)histogram->max_ns) / 1000.0;
    }
    return (double)histogram->max_ns / 1000.0;
}

static void print_text(const char *text) {
    putchar('"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\' || (unsigned char)*text < 32) printf("\\u%04x", (unsigned char)*text);
        else putchar(*text);
    }
    putchar('"');
}

static void print_paths(const struct run *run) {
    const char *comma = "";
    printf("\"paths\":{");
    for (unsigned lane = 0; lane < run->lane_count; lane++) {
        for (unsigned index = 0; index < run->lanes[lane].path_count; index++) {
            const struct path *path = &run->lanes[lane].paths[index];
            printf("%s\"%s\":{\"answered\":%llu,\"p50_us\":%.1f,\"p99_us\":%.1f,\"max_us\":%.1f}", comma, path->name,
                   (unsigned long long)path->latency.count, percentile_us(&path->latency, 0.50),
                   percentile_us(&path->latency, 0.99), (double)path->latency.max_ns / 1000.0);
            comma = ",";
        }
    }
    printf("}");
}

void print_report(const struct run *run, double elapsed_s) {
    const struct counters *counters = &run->counters;
    uint64_t never_answered = 0;
    for (unsigned index = 0; index < run->client_count; index++)
        never_answered += run->clients[index].answers == 0 && run->clients[index].lane->rate_per_s == 0;
    const struct { const char *name; uint64_t count; } counts[] = {
        {"answered", counters->answered}, {"answered_in_window", counters->answered_in_window},
        {"wrong", counters->wrong}, {"unanswered", counters->unanswered}, {"reconnects", counters->reconnects},
        {"connect_failures", counters->connect_failures}, {"not_closed", counters->not_closed},
        {"not_sent", counters->not_sent}, {"connections_never_answered", never_answered},
    };
    printf("{\"elapsed_s\":%.6f,", elapsed_s);
    for (size_t index = 0; index < sizeof counts / sizeof *counts; index++)
        printf("\"%s\":%llu,", counts[index].name, (unsigned long long)counts[index].count);
    printf("\"complaint\":");
    print_text(counters->complaint);
    printf(",");
    print_paths(run);
    printf("}\n");
    fflush(stdout);
}

void print_failed_check(const char *complaint) {
    printf("{\"check_failed\":");
    print_text(complaint);
    printf("}\n");
    fflush(stdout);
}
