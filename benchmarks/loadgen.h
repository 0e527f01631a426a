/* Load generator - shared types: lane (who sends how), path (what is sent and expected), answer (parser), counters.
 *
 * loadgen.c           options, phases, JSON on stdout
 * loadgen_client.c    connections: open, send, receive, time-outs
 * loadgen_answer.c    bytes of an answer in; need more / done / wrong out (RFC 9112 sections 4, 6.3, 7.1)
 * loadgen_report.c    latency histogram and JSON
 */
#pragma once
#define _GNU_SOURCE
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { MAX_LANES = 4, MAX_PATHS = 8, MAX_HEAD_BYTES = 8192, CHECKED_ANSWERS = 64, MAX_COMPLAINT = 400 };

/* Log-linear: 64 buckets to each doubling of nanoseconds, so a percentile is right within 1.6 %. */
enum { SUB_BUCKETS = 64, OCTAVES = 40 };

struct histogram {
    uint64_t buckets[SUB_BUCKETS * OCTAVES];
    uint64_t count, max_ns;
};

struct path {
    char name[32];
    unsigned weight;
    char *request;                 /* the `depth` requests of a pipeline in a row, sent together */
    size_t request_bytes;          /* of all of them */
    int expected_status;
    char *expected_bodies;         /* `depth` bodies of one length in a row: different ones prove the order */
    size_t expected_body_bytes;    /* of one */
    uint64_t checked;              /* answers compared byte by byte so far */
    struct histogram latency;
};

struct lane {
    unsigned connections, depth;
    double rate_per_s;             /* 0: closed loop, the next request follows the answer */
    bool is_one_request_per_connection;
    struct path paths[MAX_PATHS];
    unsigned path_count, weight_total;
    uint64_t next_due_ns, interval_ns;
    struct client **idle;          /* open loop: connections without a request in flight */
    unsigned idle_count;
};

enum answer_state { HEAD, BODY_BY_LENGTH, CHUNK_SIZE, CHUNK_DATA, CHUNK_DATA_END, TRAILER, BODY_TO_CLOSE };
enum answer_outcome { NEED_MORE, ANSWER_DONE, ANSWER_WRONG };

struct answer {
    enum answer_state state;
    int status;
    bool closes, is_compared;
    uint64_t bytes_left, body_bytes;
    unsigned line_bytes;           /* of the chunk-size or trailer line being read */
    const char *expected_body;
    char head[MAX_HEAD_BYTES];     /* a head cut short waits here */
    size_t head_bytes;
};

enum client_state { CLOSED, CONNECTING, IDLE, WAITING, AWAITING_CLOSE };

struct client {
    int fd;
    enum client_state state;
    struct lane *lane;
    struct path *path;
    unsigned outstanding;          /* answers still due */
    size_t sent_bytes;
    unsigned opened;               /* connections opened so far: tells a new socket from the old one */
    bool could_not_connect;
    uint64_t start_ns;             /* when the request was due; latency counts from here */
    uint64_t answers;              /* in this phase */
    struct answer answer;
};

struct counters {
    uint64_t answered, answered_in_window, wrong, unanswered, reconnects, connect_failures, not_closed, not_sent;
    char complaint[MAX_COMPLAINT]; /* the first wrong answer, in words */
};

struct run {
    struct sockaddr_in address;
    int epoll_fd;
    struct lane lanes[MAX_LANES];
    unsigned lane_count;
    struct client *clients;
    unsigned client_count;
    bool is_sending;               /* false while a phase drains */
    uint64_t answer_timeout_ns;
    struct counters counters;
};

uint64_t now_ns(void);

/* loadgen_answer.c. `used` bytes belong to this answer; on ANSWER_WRONG `complaint` says why. */
enum answer_outcome read_answer(struct answer *answer, const struct path *path, const char *data,
                                size_t bytes, size_t *used, char *complaint);
enum answer_outcome end_of_answer(struct answer *answer, const struct path *path, char *complaint);
void expect_answer(struct answer *answer, const char *expected_body, bool is_compared);

/* loadgen_client.c */
void start_clients(struct run *run);
void start_due_requests(struct run *run, struct lane *lane);
void client_event(struct run *run, struct client *client, uint32_t events);
void begin_request(struct run *run, struct client *client, uint64_t due_ns);
void give_up_late_answers(struct run *run, uint64_t now, uint64_t timeout_ns);
unsigned count_waiting(const struct run *run);

/* loadgen_report.c */
void record_latency(struct histogram *histogram, uint64_t ns);
void print_report(const struct run *run, double elapsed_s);
void print_failed_check(const char *complaint);
